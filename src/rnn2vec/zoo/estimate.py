"""What a build will cost, before it starts: measured on a few runs and a few updates of it.

The sample is built for real, in a temporary folder. One run alone and a shard of runs, both for one update, differ by
the time of snapshots (rollouts, performance, losses, files). The shard for one update and for some seconds of updates,
both with a single episode, differ by the time of updates: with all episodes the noise of the snapshots was larger than
that. A formula from sizes and clock rates would be wrong on the next machine, and wrong again after the next change of
the trainer.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rnn2vec.execution.memory import peak_bytes
from rnn2vec.zoo.build import build_zoo
from rnn2vec.zoo.config import ZooConfig

_SECONDS_OF_UPDATES = 4.0
"""How long the updates of the sample should take, about."""


@dataclass(frozen=True)
class BuildEstimate:
    """What a whole build costs, if it starts from nothing."""

    seconds: float
    """Wall time."""
    peak_bytes: int
    """The largest memory of the process, libraries included."""
    disk_bytes: int
    """Size of the finished folder."""


@dataclass(frozen=True)
class _Sample:
    seconds: float
    snapshots: int
    shard_bytes: int


def estimate_build(config: ZooConfig, *, device: str = "cpu") -> BuildEstimate:
    """Estimate a build from a sample of it; takes about ten seconds, and the compilation of the trainer.

    Args:
        config: what is to be built.
        device: where a torch backend would train.

    Raises:
        UsageError: as `build_zoo` with this config.
    """
    runs = min(config.runs_per_shard, config.num_runs)
    _build(config, 1, 1, device)  # compiles, fills caches
    alone = _build(config, 1, 1, device) if runs > 1 else _Sample(0.0, 0, 0)
    shard = _build(config, runs, 1, device)
    more = shard.snapshots - alone.snapshots
    per_snapshot = (shard.seconds - alone.seconds) / more
    once = max(alone.seconds - alone.snapshots * per_snapshot, 0.0)
    bytes_per_snapshot = (shard.shard_bytes - alone.shard_bytes) / more
    bytes_per_shard = alone.shard_bytes - alone.snapshots * bytes_per_snapshot
    updates = config.num_runs * config.num_steps * _seconds_per_update(config, runs, device)
    return BuildEstimate(
        seconds=once + updates + config.num_rnns * per_snapshot,
        # A shard's snapshots are there twice, as a list of arrays and as the shard.
        peak_bytes=round(peak_bytes() + 2 * runs * len(config.snapshot_steps) * bytes_per_snapshot),
        disk_bytes=round(config.num_rnns * bytes_per_snapshot - (-config.num_runs // runs) * bytes_per_shard),
    )


def _seconds_per_update(config: ZooConfig, runs: int, device: str) -> float:
    """Of one run among so many side by side, without its snapshots."""
    config = dataclasses.replace(config, num_episodes=1, num_rollouts=1)
    before, few = _build(config, runs, 1, device).seconds, min(10, config.num_steps)
    per_step = max(_build(config, runs, few, device).seconds - before, 1e-3) / few
    steps = min(max(few, round(_SECONDS_OF_UPDATES / per_step)), config.num_steps)
    return max(_build(config, runs, steps, device).seconds - before, 0.0) / (runs * max(steps - 1, 1))


def _build(config: ZooConfig, runs: int, steps: int, device: str) -> _Sample:
    """Build the first runs for a few updates, in a folder that goes away."""
    sample = dataclasses.replace(config, num_runs=runs, num_steps=steps)
    with tempfile.TemporaryDirectory(prefix="rnn2vec-estimate-") as folder:
        started = time.perf_counter()
        build_zoo(sample, Path(folder) / "zoo", device=device)
        seconds = time.perf_counter() - started
        sizes = [path.stat().st_size for path in Path(folder).rglob("shards/*")]
    return _Sample(seconds, sample.num_rnns, sum(sizes))
