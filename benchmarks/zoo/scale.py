"""Scaling of the training time with the amount of work and the number of cores."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.zoo.contenders import BackendContender, Contender
from benchmarks.zoo.measure import NUM_RUNS, updates_for
from benchmarks.zoo.workload import workload
from rnn2vec._progress import Progress, silent
from rnn2vec.execution.cores import usable_cores
from rnn2vec.zoo.backends.numba_backend import NumbaBackend


@dataclass(frozen=True)
class Scaling:
    """Scaling of numba's training time, as ratios of seconds in each turn."""

    twice_the_runs: tuple[float, ...]
    """Time for twice the runs relative to the base; 2 if time is linear in runs."""
    twice_the_steps: tuple[float, ...]
    """Time for twice the steps relative to the base; 2 if time is linear in steps."""
    all_cores: tuple[float, ...]
    """Time on one core relative to that on all cores."""
    cores: int
    """Number of all cores."""

    def to_dict(self) -> dict[str, Any]:
        """Return medians and the values of each turn as JSON-ready values."""
        named = {name: getattr(self, name) for name in ("twice_the_runs", "twice_the_steps", "all_cores")}
        medians = {name: float(np.median(values)) for name, values in named.items()}
        return {**medians, "cores": self.cores, "by_turn": {name: list(values) for name, values in named.items()}}


def scaling(family: str, *, turns: int, seconds: float, progress: Progress = silent) -> Scaling:
    """Train twice the runs, twice the steps, and on one core.

    Args:
        family: task family of the RNNs.
        turns: number of measurements.
        seconds: approximate time of the shortest measurement, in seconds.
        progress: callback that receives the number of turns done.
    """
    cores = usable_cores()
    few, many = (workload(family, number) for number in (NUM_RUNS // 2, NUM_RUNS))
    base = BackendContender("numba", NumbaBackend(), few, merged=True)
    double = BackendContender("numba", NumbaBackend(), many, merged=True)
    single = BackendContender("numba", NumbaBackend(num_threads=1), few, merged=True)
    updates = updates_for(base, seconds)
    ratios: list[tuple[float, float, float]] = []
    for turn in range(turns):
        progress(turn, turns, "turns")
        spent = [_seconds(one, count) for one, count in ((base, updates), (double, updates), (base, 2 * updates))]
        ratios.append((spent[1] / spent[0], spent[2] / spent[0], _seconds(single, updates) / spent[0]))
    progress(turns, turns, "turns")
    runs, steps, all_cores = (tuple(values) for values in zip(*ratios, strict=True))
    return Scaling(runs, steps, all_cores, cores)


def _seconds(contender: Contender, updates: int) -> float:
    started = time.perf_counter()
    contender.run(updates)
    return time.perf_counter() - started
