"""Does the emulator act like the RNN, or does it only predict it?

In pre-training the emulator only continues the RNN's own rollouts. Here it acts on its own: what is sampled from
its outputs is its next input (the paper's Figure 5). If a representation says how good its RNN is at its task, the
emulation is just as good, no better and no worse.

RNN and emulation draw with the same random numbers, episode by episode, so that a perfect emulation does exactly
what the RNN does and every difference is the emulation's fault. With independent draws the sampling noise of two
finite sets of episodes would be counted as disagreement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from rnn2vec._progress import Progress, silent
from rnn2vec._seeding import numpy_generator
from rnn2vec._shapes import Representation
from rnn2vec.emulation.emulator import Emulation, Emulator
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.tasks.base import Environment, Task, TaskFamily
from rnn2vec.zoo.rollouts import Stepper, roll_out

_RNNS_AT_ONCE = 16


@dataclass(frozen=True)
class PerformanceComparison:
    """The performance of N RNNs and of their emulations, over the same episodes."""

    rnn: Float[np.ndarray, " N"]
    """Performance of each RNN, from 0 to 1."""
    emulation: Float[np.ndarray, " N"]
    """Performance of each emulation."""
    num_episodes: int
    """Episodes behind each number."""

    @property
    def r_squared(self) -> float | None:
        """Coefficient of determination of the RNNs' performance by that of their emulations, without a fitted line.

        It is 1 if all are equal, below 0 if the RNNs' mean is a better prediction, and None if all RNNs perform alike.
        """
        total = np.square(self.rnn - self.rnn.mean()).sum()
        return float(1 - np.square(self.rnn - self.emulation).sum() / total) if total > 0 else None

    @property
    def correlation(self) -> float | None:
        """Pearson's correlation; None when one side is constant."""
        if np.ptp(self.rnn) == 0 or np.ptp(self.emulation) == 0:
            return None
        return float(np.corrcoef(self.rnn, self.emulation)[0, 1])


@torch.no_grad()
def compare_performance(
    rnns: RNNStack,
    emulator: Emulator,
    representations: Representation,
    *,
    family: TaskFamily,
    tasks: Sequence[Task],
    num_episodes: int = 100,
    seed: int = 0,
    progress: Progress = silent,
) -> PerformanceComparison:
    """Roll out RNNs and their emulations in the RNNs' tasks.

    Args:
        rnns: N RNNs.
        emulator: emulator that imitates them.
        representations: representations of the RNNs, `(N, Z)`.
        family: family of the tasks.
        tasks: task of each RNN.
        num_episodes: number of episodes of each RNN and each emulation.
        seed: seed of the episodes.
        progress: callback that receives the number of RNNs done.
    """
    sides: tuple[list[Tensor], list[Tensor]] = ([], [])
    for start in range(0, len(rnns), _RNNS_AT_ONCE):
        part = slice(start, start + _RNNS_AT_ONCE)
        steppers = (rnns.select(part), Emulation(emulator, representations[part]))
        numbers = range(len(rnns))[part]
        for side, stepper in zip(sides, steppers, strict=True):
            side.append(act(stepper, family, tasks[part], num_episodes, numbers=numbers, seed=seed).performance())
        progress(numbers[-1] + 1, len(rnns), f"{num_episodes} episodes each")
    rnn, emulated = (torch.cat(side).double().cpu().numpy() for side in sides)
    return PerformanceComparison(rnn, emulated, num_episodes)


def act(
    stepper: Stepper,
    family: TaskFamily,
    tasks: Sequence[Task],
    num_episodes: int,
    *,
    numbers: Sequence[int],
    seed: int,
) -> Environment:
    """Let RNNs or emulations act; the environment knows what happened.

    Args:
        stepper: N things that act.
        family: the family of the tasks.
        tasks: the task of each.
        num_episodes: episodes of each.
        numbers: whose random numbers each gets: equal numbers and seeds mean equal draws.
        seed: where the random numbers come from.
    """
    generators = [numpy_generator(seed, "performance", int(number)) for number in numbers]
    environment = family.environment(tasks, num_episodes, generators)
    roll_out(stepper, environment)
    return environment
