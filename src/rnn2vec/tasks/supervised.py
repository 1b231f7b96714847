"""Any supervised sequence task as a task family: a subclass draws tasks, and examples of a task.

Inputs are tokens or numbers, targets classes or numbers, and steps may have weights (`examples`). Everything else
follows: an RNN is trained on `num_examples` examples of its task, and then reads held-out ones, whose numbers are the
compact code of its rollouts. Performance is the share of right classes, or the explained variance, over the weighted
steps of held-out examples.
"""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from rnn2vec._errors import UsageError
from rnn2vec._seeding import numpy_generator
from rnn2vec._shapes import InputSequences, InputStep, OutputStep
from rnn2vec.rnn.interface import Interface
from rnn2vec.tasks.base import DealtTask, Environment, Property, Split, Task, TaskFamily, one_hot
from rnn2vec.tasks.examples import LossExamples, SequenceExamples

_VALIDATION_EVERY = 5


@dataclass(frozen=True)
class SupervisedFamily(TaskFamily):
    """A family of supervised sequence tasks.

    A subclass sets `name`, `task_columns`, `input_size` and `output_size`, and defines `draw_task` and `draw_examples`.

    Raises:
        UsageError: a number of examples below 1.
    """

    num_examples: int = 256
    """Training examples of each task."""
    num_held_out: int = 128
    """Examples of each task that no RNN is trained on."""
    data_seed: int = 0
    """Seed of the examples."""

    def __post_init__(self) -> None:
        for name in ("num_examples", "num_held_out"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name}={getattr(self, name)}", remedy="give at least 1.")

    @abstractmethod
    def draw_task(self, generator: np.random.Generator) -> Task:
        """Return the parameters of a random task, in the order of `task_columns`."""

    @abstractmethod
    def draw_examples(self, task: Task, count: int, generator: np.random.Generator) -> SequenceExamples:
        """Return `count` random examples of a task, all of the same length."""

    def is_ood(self, task: Task) -> bool:  # noqa: ARG002
        """Return True if a task is out of distribution; by default none is."""
        return False

    @property
    def ood_rule(self) -> str:
        """The rule of `is_ood` as a sentence."""
        return "no task is out of distribution"

    @property
    def interface(self) -> Interface:
        """Kinds from the examples; numbers are probed within the range of those of one task."""
        task = self.draw_task(numpy_generator(self.data_seed, self.name, "interface"))
        examples = self.examples(task)
        inputs, targets = examples.kind.inputs, examples.kind.targets
        low, high = float(examples.inputs.min()), float(examples.inputs.max())
        return Interface(
            input_kind="categorical" if inputs == "tokens" else "continuous",
            output_kind="categorical" if targets == "classes" else "continuous",
            input_range=(low, high) if inputs == "numbers" and low < high else (-1.0, 1.0),
        )

    @property
    def properties(self) -> tuple[Property, ...]:
        """The parameters of the task as numbers, and the performance."""
        return (
            Property("task", self.task_columns, "mean-squared-error"),
            Property("performance", ("performance",), "mean-squared-error"),
        )

    def describe(self, task: Task) -> str:
        """Return the parameters by name."""
        return ", ".join(f"{name} {value:g}" for name, value in zip(self.task_columns, task, strict=True))

    def decode(self, codes: Int[Tensor, " C"] | UInt8[Tensor, " C"]) -> str:
        """Return the number of the held-out example."""
        return f"held-out example {int(codes[0])}"

    # -- tasks and examples ------------------------------------------------------------------------

    def deal(self, num_runs: int, seed: int) -> list[DealtTask]:
        """Draw the task of each run; of the runs in distribution every fifth is for validation, the second first."""
        dealt: list[DealtTask] = []
        num_usual = 0
        for run in range(num_runs):
            task = tuple(map(float, self.draw_task(numpy_generator(seed, self.name, "task", run))))
            split: Split = "ood"
            if not self.is_ood(task):
                split = "validation" if num_usual % _VALIDATION_EVERY == 1 else "train"
                num_usual += 1
            dealt.append(DealtTask(task, split))
        return dealt

    @property
    def most_examples(self) -> int:
        """The larger part of the examples."""
        return max(self.num_examples, self.num_held_out)

    def examples(self, task: Task) -> SequenceExamples:
        """Return the training examples of a task."""
        return self._drawn(task, self.num_examples, "examples")

    def held_out(self, task: Task) -> SequenceExamples:
        """Return the examples of a task that no RNN is trained on."""
        return self._drawn(task, self.num_held_out, "held out")

    @functools.lru_cache(maxsize=2048)  # noqa: B019 (families are few and live as long as the program)
    def _drawn(self, task: Task, count: int, part: str) -> SequenceExamples:
        return self.draw_examples(task, count, numpy_generator(self.data_seed, self.name, part, *map(repr, task)))

    def loss_examples(self, task: Task, number: int) -> LossExamples:  # noqa: ARG002
        """Measure losses on all examples of either part."""
        return LossExamples(self.examples(task), self.held_out(task))

    # -- rollouts ----------------------------------------------------------------------------------

    def environment(
        self, tasks: Sequence[Task], num_episodes: int, generators: Sequence[np.random.Generator]
    ) -> Environment:
        """Show each RNN held-out examples, all different where there are enough."""
        again = num_episodes > self.num_held_out
        drawn = [generator.choice(self.num_held_out, num_episodes, replace=again) for generator in generators]
        return _Showing(self, tasks, torch.from_numpy(np.stack(drawn).astype(np.int32))[..., None])

    def rollout_inputs(self, codes: Tensor, tasks: Sequence[Task]) -> InputSequences:
        """Return the inputs of the held-out examples."""
        numbers = codes[..., 0].cpu().numpy()
        chosen = [self.held_out(task).inputs[rows] for task, rows in zip(tasks, numbers, strict=True)]
        inputs = torch.from_numpy(np.stack(chosen))
        return inputs if inputs.is_floating_point() else one_hot(inputs, self.input_size)


class _Showing(Environment):
    """Held-out examples shown step by step, whatever the RNN answers."""

    def __init__(self, family: SupervisedFamily, tasks: Sequence[Task], codes: Int[Tensor, "N B 1"]) -> None:
        self._codes = codes
        self._inputs = family.rollout_inputs(codes, tasks)
        held_out = [family.held_out(task) for task in tasks]
        rows = codes[..., 0].numpy()
        self._targets = torch.from_numpy(np.stack([one.targets[row] for one, row in zip(held_out, rows, strict=True)]))
        weights = [
            np.ones(one.targets.shape[:2], np.float32) if one.step_weights is None else one.step_weights
            for one in held_out
        ]
        self._weights = torch.from_numpy(np.stack([one[row] for one, row in zip(weights, rows, strict=True)]))
        self._outputs: list[Tensor] = []

    def first(self) -> InputStep:
        return self._inputs[:, :, 0]

    def next(self, outputs: OutputStep) -> InputStep | None:
        self._outputs.append(outputs.cpu().float())
        step = len(self._outputs)
        return self._inputs[:, :, step].to(outputs) if step < self._inputs.shape[2] else None

    def codes(self) -> Int[Tensor, "N B C"]:
        return self._codes

    def performance(self) -> Float[Tensor, " N"]:
        outputs = torch.stack(self._outputs, dim=2)
        if not self._targets.is_floating_point():
            right = (outputs.argmax(dim=-1) == self._targets).float()
            return (right * self._weights).sum(dim=(1, 2)) / self._weights.sum(dim=(1, 2))
        weights = self._weights[..., None]
        mean = (self._targets * weights).sum(dim=(1, 2)) / weights.sum(dim=(1, 2))
        variance = ((self._targets - mean[:, None, None]).square() * weights).sum(dim=(1, 2, 3))
        errors = ((outputs - self._targets).square() * weights).sum(dim=(1, 2, 3))
        return (1 - errors / variance.clamp_min(1e-12)).clamp(0, 1)
