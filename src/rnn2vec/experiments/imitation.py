"""How good emulations are at the tasks of their RNNs, on tasks that the encoder never met (the paper's Figure 5).

The number is R^2 between the RNNs' performance and their emulations', without a fitted line. RNNs of one task
resemble each other, so its interval resamples tasks, with all of their RNNs.
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
from rnn2vec._seeding import numpy_generator
from rnn2vec.emulation.checkpoints import Model
from rnn2vec.emulation.data import SplitData
from rnn2vec.inspection.performance import PerformanceComparison, compare_performance
from rnn2vec.tasks.base import Task

_RNNS_AT_ONCE = 256
_FEWEST_TASKS = 2


@dataclass(frozen=True)
class Imitation:
    """RNNs of one split at work, and what their emulations do in their place."""

    encoder: str
    """The encoder's name."""
    performance: PerformanceComparison
    """Of RNNs and emulations, over the same episodes."""
    steps: Int[np.ndarray, " N"]
    """Updates that each RNN had."""
    tasks: tuple[Task, ...]
    """The task of each."""
    interval: tuple[float, float] | None
    """95 % interval of R^2 by a bootstrap over tasks; None where there are too few."""

    @property
    def is_last(self) -> Bool[np.ndarray, " N"]:
        """Which of them are the last snapshots of their runs."""
        return self.steps == self.steps.max()

    @property
    def last(self) -> PerformanceComparison:
        """The last snapshots alone."""
        whole, chosen = self.performance, self.is_last
        return PerformanceComparison(whole.rnn[chosen], whole.emulation[chosen], whole.num_episodes)

    def to_dict(self) -> dict[str, Any]:
        """Numbers and every RNN's point, as JSON-ready values."""
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
    """Let the RNNs of a split and their emulations act.

    Args:
        data: RNNs of tasks that the model was not trained on.
        model: an encoder with its emulator.
        num_episodes: episodes of each RNN, and of each emulation.
        seed: of the episodes and the bootstrap.
        progress: told of the RNNs done.

    Raises:
        UsageError: fewer than one episode, or RNNs that do not fit the encoder.
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
    """The mean absolute difference between an RNN's performance and its emulation's."""
    return float(np.abs(comparison.rnn - comparison.emulation).mean())


def r_squared_interval(
    comparison: PerformanceComparison,
    groups: Sequence[Hashable],
    *,
    seed: int = 0,
    num_resamples: int = 2000,
    confidence: float = 0.95,
) -> tuple[float, float] | None:
    """An interval of R^2 by a bootstrap over groups of RNNs; None where there are fewer than 2 or all RNNs are alike.

    Args:
        comparison: performance of N RNNs and their emulations.
        groups: the task of each.
        seed: where the resamples come from.
        num_resamples: how often groups are drawn with replacement.
        confidence: of the interval, between 0 and 1.
    """
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    if len(numbers) < _FEWEST_TASKS or comparison.r_squared is None:
        return None
    # R^2 follows from sums over RNNs, and those from sums over each group.
    rnn, emulation = comparison.rnn, comparison.emulation
    values = np.stack([np.ones_like(rnn), rnn, rnn**2, (rnn - emulation) ** 2])
    sums = np.zeros((len(numbers), len(values)))
    np.add.at(sums, [numbers[group] for group in groups], values.T)
    share = np.full(len(numbers), 1 / len(numbers))
    draws = numpy_generator(seed, "bootstrap").multinomial(len(numbers), share, num_resamples)
    count, total, squares, errors = (draws @ sums).T
    spread = squares - total**2 / count
    kept = spread > 1e-12 * count  # a resample of RNNs that are all alike has no R^2
    if not kept.any():
        return None
    low, high = np.quantile(1 - errors[kept] / spread[kept], [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
