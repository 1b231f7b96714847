"""What a build will cost, before it starts: measured on a few runs and a few updates of it.

The sample is built for real, in a temporary folder: a shard of runs for one update, the same shard for some more, and
one run alone. The differences between the three give the time of an update, of a snapshot (rollouts, performance,
losses, files) and what is paid once. A formula from sizes and clock rates would be wrong on the next machine, and
wrong again after the next change of the trainer.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rnn2vec.zoo.bench.memory import peak_bytes
from rnn2vec.zoo.build import build_zoo
from rnn2vec.zoo.config import ZooConfig
from rnn2vec.zoo.train import STEPS_PER_CALL

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
    alone, short = _build(config, 1, 1, device), _build(config, runs, 1, device)
    steps = _steps_for(config, runs, device, short.seconds)
    longer = _build(config, runs, steps, device)
    per_snapshot = (short.seconds - alone.seconds) / max(short.snapshots - alone.snapshots, 1)
    once = max(alone.seconds - alone.snapshots * per_snapshot, 0.0)
    updates = longer.seconds - short.seconds - (longer.snapshots - short.snapshots) * per_snapshot
    per_update = max(updates, 0.0) / max(runs * (steps - 1), 1)
    snapshot_bytes = longer.shard_bytes / longer.snapshots
    return BuildEstimate(
        seconds=once + config.num_runs * config.num_steps * per_update + config.num_rnns * per_snapshot,
        # A shard's snapshots are there twice, as a list of arrays and as the shard.
        peak_bytes=round(peak_bytes() + 2 * runs * len(config.snapshot_steps) * snapshot_bytes),
        disk_bytes=round(config.num_rnns * snapshot_bytes),
    )


def _steps_for(config: ZooConfig, runs: int, device: str, seconds_before: float) -> int:
    """So many updates that they take long enough to be measured, at most as many as the build makes."""
    few = min(10, config.num_steps)
    per_step = max(_build(config, runs, few, device).seconds - seconds_before, 1e-3) / few
    return min(max(few, round(_SECONDS_OF_UPDATES / per_step)), STEPS_PER_CALL, config.num_steps)


def _build(config: ZooConfig, runs: int, steps: int, device: str) -> _Sample:
    """Build the first runs for a few updates, in a folder that goes away."""
    sample = dataclasses.replace(config, num_runs=runs, num_steps=steps)
    with tempfile.TemporaryDirectory(prefix="rnn2vec-estimate-") as folder:
        started = time.perf_counter()
        build_zoo(sample, Path(folder) / "zoo", device=device)
        seconds = time.perf_counter() - started
        sizes = [path.stat().st_size for path in Path(folder).rglob("shards/*")]
    return _Sample(seconds, sample.num_rnns, sum(sizes))
