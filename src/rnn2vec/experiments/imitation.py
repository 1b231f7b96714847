"""The task performance of emulations compared with that of their RNNs, on unseen tasks (the paper's Figure 5).

The measure is R^2 between the performance of the RNNs and of their emulations, without a fitted line. RNNs of one task
resemble each other, so its interval resamples tasks, each with all of its RNNs.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int

from rnn2vec._errors import UsageError
from rnn2vec._progress import Progress, silent
from rnn2vec.emulation.checkpoints import Model
from rnn2vec.emulation.data import SplitData
from rnn2vec.experiments.statistics import central_interval, resampled_sums
from rnn2vec.inspection.performance import PerformanceComparison, compare_performance
from rnn2vec.tasks.base import Task

_RNNS_AT_ONCE = 256
_FEWEST_TASKS = 2
_RESAMPLES = 2000


@dataclass(frozen=True)
class Imitation:
    """The performance of the RNNs of one split and of their emulations."""

    encoder: str
    """Name of the encoder."""
    performance: PerformanceComparison
    """Performance of RNNs and emulations, over the same episodes."""
    steps: Int[np.ndarray, " N"]
    """Number of updates of each RNN."""
    tasks: tuple[Task, ...]
    """Task of each RNN."""
    interval: tuple[float, float] | None
    """The 95 % interval of R^2 by a bootstrap over tasks; None for too few tasks."""

    @property
    def is_last(self) -> Bool[np.ndarray, " N"]:
        """Mask of the last snapshots of their runs."""
        return self.steps == self.steps.max()

    @property
    def last(self) -> PerformanceComparison:
        """Performance of last snapshots only."""
        whole, chosen = self.performance, self.is_last
        return PerformanceComparison(whole.rnn[chosen], whole.emulation[chosen], whole.num_episodes)

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers and the point of every RNN as JSON-ready values."""
        whole = self.performance
        return {
            "encoder": self.encoder,
            "num_rnns": len(whole.rnn),
            "num_tasks": len(set(self.tasks)),
            "num_episodes": whole.num_episodes,
            "r_squared": whole.r_squared,
            "interval": None if self.interval is None else list(self.interval),
            "correlation": whole.correlation,
            "mean_difference": mean_difference(whole),
            "last_mean_difference": mean_difference(self.last),
            "mean_performance": {"rnn": float(whole.rnn.mean()), "emulation": float(whole.emulation.mean())},
            "points": {
                "step": self.steps.tolist(),
                "rnn": whole.rnn.round(4).tolist(),
                "emulation": whole.emulation.round(4).tolist(),
            },
        }


def imitate(
    data: SplitData, model: Model, *, num_episodes: int = 100, seed: int = 0, progress: Progress = silent
) -> Imitation:
    """Roll out the RNNs of a split and their emulations, and compare their performance.

    Args:
        data: RNNs of unseen tasks.
        model: an encoder with its emulator.
        num_episodes: number of episodes of each RNN and each emulation.
        seed: seed of the episodes and the bootstrap.
        progress: callback that receives the number of RNNs done.

    Raises:
        UsageError: if there is no episode, or the RNNs do not fit the encoder.
    """
    if num_episodes < 1:
        raise UsageError(f"num_episodes={num_episodes}", remedy="give at least 1.")
    starts = range(0, len(data), _RNNS_AT_ONCE)
    with torch.no_grad():
        vectors = torch.cat([model.encoder(data.rnns.select(slice(at, at + _RNNS_AT_ONCE))) for at in starts])
    performance = compare_performance(
        data.rnns,
        model.emulator,
        vectors,
        family=data.family,
        tasks=data.tasks,
        num_episodes=num_episodes,
        seed=seed,
        progress=progress,
    )
    interval = r_squared_interval(performance, data.tasks, seed=seed)
    return Imitation(model.encoder.name, performance, np.asarray(data.steps), tuple(data.tasks), interval)


def mean_difference(comparison: PerformanceComparison) -> float:
    """Compute the mean absolute difference between an RNN's performance and its emulation's."""
    return float(np.abs(comparison.rnn - comparison.emulation).mean())


def r_squared_interval(
    comparison: PerformanceComparison,
    groups: Sequence[Hashable],
    *,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Compute an interval of R^2 by a bootstrap over groups of RNNs; None for fewer than 2 groups or equal RNNs.

    Args:
        comparison: performance of N RNNs and their emulations.
        groups: task of each RNN.
        seed: seed of the resamples.
    """
    if len(set(groups)) < _FEWEST_TASKS or comparison.r_squared is None:
        return None
    # R^2 follows from sums over RNNs.
    rnn, emulation = comparison.rnn, comparison.emulation
    values = np.stack([np.ones_like(rnn), rnn, rnn**2, (rnn - emulation) ** 2])
    count, total, squares, errors = resampled_sums(values, groups, seed=seed, resamples=_RESAMPLES).T
    spread = squares - total**2 / count
    kept = spread > 1e-12 * count  # a resample of equal RNNs has no R^2
    if not kept.any():
        return None
    return central_interval(1 - errors[kept] / spread[kept])
