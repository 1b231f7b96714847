"""Estimate of the cost of a build, measured on a few runs and a few updates of it.

Samples are built in a temporary folder. The difference between a single run and a shard of runs, both for one update,
is the time of snapshots (rollouts, performance, losses, files). The difference between one update and several seconds
of updates of the shard is the time of updates; it is measured with a single episode, since with all episodes the noise
of the snapshots was larger than the difference. A formula based on sizes and clock rates was rejected: it would depend
on the machine and on the version of the trainer.
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
"""Approximate duration of the updates of the sample, in seconds."""


@dataclass(frozen=True)
class BuildEstimate:
    """The cost of a complete build from scratch."""

    seconds: float
    """Wall time, in seconds."""
    peak_bytes: int
    """Peak memory of the process including libraries, in bytes."""
    disk_bytes: int
    """Size of the finished folder, in bytes."""


@dataclass(frozen=True)
class _Sample:
    seconds: float
    snapshots: int
    shard_bytes: int


def estimate_build(config: ZooConfig, *, device: str = "cpu") -> BuildEstimate:
    """Estimate the cost of a build from a sample of it, in about ten seconds plus the compilation of the trainer.

    Args:
        config: config of the build.
        device: device for a torch backend.

    Raises:
        UsageError: if `build_zoo` would refuse this config.
    """
    runs = min(config.runs_per_shard, config.num_runs)
    _build(config, 1, 1, device)  # compiles the trainer and fills caches
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
        # A shard's snapshots are in memory twice: as a list of arrays and as the shard.
        peak_bytes=round(peak_bytes() + 2 * runs * len(config.snapshot_steps) * bytes_per_snapshot),
        disk_bytes=round(config.num_rnns * bytes_per_snapshot - (-config.num_runs // runs) * bytes_per_shard),
    )


def _seconds_per_update(config: ZooConfig, runs: int, device: str) -> float:
    """Measure the seconds per update of one run when `runs` train in parallel, excluding snapshots."""
    config = dataclasses.replace(config, num_episodes=1, num_rollouts=1)
    before, few = _build(config, runs, 1, device).seconds, min(10, config.num_steps)
    per_step = max(_build(config, runs, few, device).seconds - before, 1e-3) / few
    steps = min(max(few, round(_SECONDS_OF_UPDATES / per_step)), config.num_steps)
    return max(_build(config, runs, steps, device).seconds - before, 0.0) / (runs * max(steps - 1, 1))


def _build(config: ZooConfig, runs: int, steps: int, device: str) -> _Sample:
    """Build the first runs for a few updates in a temporary folder."""
    sample = dataclasses.replace(config, num_runs=runs, num_steps=steps)
    with tempfile.TemporaryDirectory(prefix="rnn2vec-estimate-") as folder:
        started = time.perf_counter()
        build_zoo(sample, Path(folder) / "zoo", device=device)
        seconds = time.perf_counter() - started
        sizes = [path.stat().st_size for path in Path(folder).rglob("shards/*")]
    return _Sample(seconds, sample.num_rnns, sum(sizes))
