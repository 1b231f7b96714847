"""Evaluation of snapshots: rollouts, performance, and losses on examples.

RNNs are rolled out and scored in small groups, one group per core. Single-threaded groups in parallel are faster than a
single group on all cores, whose steps are too small to be shared: threads that wait for each other lose more time than
they save as soon as anything else runs on the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from rnn2vec._seeding import numpy_generator
from rnn2vec.execution.cores import torch_threads, usable_cores
from rnn2vec.rnn import fused
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.tasks.base import Task, TaskFamily
from rnn2vec.tasks.examples import Examples, FrameExamples
from rnn2vec.zoo.backends.torch_backend import row_reader, weighted_loss
from rnn2vec.zoo.config import ZooConfig
from rnn2vec.zoo.rollouts import roll_out, roll_out_by_kernels
from rnn2vec.zoo.train import pad_examples

_WORTH_EPISODES = 1_000_000
"""Episodes that repay a compilation, see `rnn.fused`."""
_RNNS_TOGETHER = 8
"""Number of RNNs per group; with 1000 episodes each, their states still fit into the cache."""

_Result = TypeVar("_Result")


def act(
    config: ZooConfig, family: TaskFamily, stack: RNNStack, runs: Sequence[int], tasks: Sequence[Task], step: int
) -> tuple[Tensor, Float[np.ndarray, " N"]]:
    """Roll RNNs out in their tasks, each with its own random stream.

    Args:
        config: config of the zoo, with the number of episodes and the seed.
        family: the task family.
        stack: N snapshots.
        runs: run of each snapshot.
        tasks: task of each snapshot.
        step: number of updates before the snapshots, which selects the random stream together with the run.

    Returns:
        Rollouts of all episodes in the family's code, `(N, episodes, C)`, and performance `(N,)`.
    """
    accelerated = uses_kernels(config)

    def act_group(chosen: slice) -> tuple[Tensor, Tensor]:
        generators = [numpy_generator(config.seed, "run", run, "rollouts", step) for run in runs[chosen]]
        environment = family.environment(tasks[chosen], config.num_episodes, generators)
        group = stack.select(chosen)
        if not (accelerated and fused.suits(group) and roll_out_by_kernels(group, environment)):
            roll_out(group, environment)
        return environment.codes(), environment.performance()

    codes, performance = zip(*_in_groups(act_group, len(stack)), strict=True)
    return torch.cat(codes), torch.cat(performance).double().numpy()


def expected_losses(
    family: TaskFamily, stack: RNNStack, examples: Sequence[Examples], *, accelerated: bool = False
) -> Float[np.ndarray, " N"]:
    """Compute the expectation of each RNN's loss over examples: cross-entropy, averaged over the steps.

    Args:
        family: the task family.
        stack: N snapshots.
        examples: examples of each RNN's task, all of one kind.
        accelerated: run the RNNs with compiled kernels.
    """

    @torch.no_grad()
    def losses_of_group(chosen: slice) -> Tensor:
        group = stack.select(chosen)
        # As in training, padded to the family's most: an RNN's loss must not depend on its company.
        padded = pad_examples(examples[chosen], family.most_examples)
        read = row_reader(padded, stack.spec, device=torch.device("cpu"), dtype=torch.float32)
        weights = torch.stack([_row_weights(one, family.most_examples) for one in examples[chosen]])
        rows = torch.arange(weights.shape[1]).expand(len(group), -1)
        inputs, targets, step_weights = read(rows)
        outputs = fused.outputs_of(group, inputs) if accelerated and fused.suits(group) else group(inputs)[0]
        return weighted_loss(outputs, targets, weights, step_weights)

    return torch.cat(_in_groups(losses_of_group, len(stack))).double().numpy()


def uses_kernels(config: ZooConfig) -> bool:
    """Return True if snapshots of a zoo are evaluated by compiled kernels: where Numba trains, and many RNNs act.

    The config decides, so that a build can be repeated to the byte.
    """
    episodes = config.num_runs * len(config.snapshot_steps) * config.num_episodes
    return config.backend == "numba" and episodes >= _WORTH_EPISODES


def _row_weights(examples: Examples, most: int) -> Float[Tensor, " R"]:
    """Return the probabilities of the examples, and 0 for padding."""
    weights = torch.from_numpy(examples.weights.astype(np.float32))
    padding = 0 if isinstance(examples, FrameExamples) else most - len(examples)
    return torch.nn.functional.pad(weights, (0, padding))


def _in_groups(work: Callable[[slice], _Result], number: int) -> list[_Result]:
    """Do something to `number` RNNs in small groups, a group on each core; the results in order."""
    groups = [slice(start, start + _RNNS_TOGETHER) for start in range(0, number, _RNNS_TOGETHER)]
    with torch_threads(1), ThreadPoolExecutor(usable_cores()) as pool:
        return list(pool.map(work, groups))
