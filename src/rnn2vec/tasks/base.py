"""The contract of a task family, through which the rest of the library uses its tasks.

A family is a set of tasks of one kind, such as "generate this formal language"; each RNN is trained on one of them. The
family deals tasks to runs, makes their training data, owns the environment in which a trained RNN is rolled out,
and declares how its properties are predicted. The environment is the paper's (Section 4): it turns an RNN's output
into its next input, `x_t, eta_t = E(y_{t-1}, eta_{t-1})`, and so closes the loop of a rollout.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, UInt8
from torch import Tensor

from rnn2vec._errors import DataError
from rnn2vec._shapes import InputSequences, InputStep, OutputStep
from rnn2vec.rnn.interface import Interface
from rnn2vec.tasks.examples import Examples, LossExamples

Task = tuple[float, ...]
"""The parameters of one task, in the order of the family's `task_columns`."""
Split = Literal["train", "validation", "ood"]
"""Part of a family's tasks: unseen tasks are in `validation`, out-of-distribution ones in `ood`."""


@dataclass(frozen=True)
class DealtTask:
    """The task of a run, and the split that the task is in."""

    task: Task
    split: Split


@dataclass(frozen=True)
class Property:
    """Something to predict about a snapshot from its representation (Section 6.2)."""

    name: str
    """Name, such as `"task"`."""
    columns: tuple[str, ...]
    """The columns of the zoo's property table that hold it."""
    loss: Literal["binary-cross-entropy", "cross-entropy", "mean-squared-error"]
    """Loss that a predictor minimizes."""
    categories: tuple[float, ...] | None = None
    """The values that each column can take, for the cross-entropies; None there means those that occur in the zoo."""
    period: float | None = None
    """Period of an angle, such as 360; None for other properties."""

    def target(self, table: Mapping[str, np.ndarray]) -> Float32[np.ndarray, "N D"]:
        """Compute the targets of a predictor: each column one-hot over `categories`, side by side, or as a number.

        Args:
            table: arrays `(N,)` by column name.

        Raises:
            DataError: if a value is not one of the categories.
        """
        columns = np.stack([np.asarray(table[column]) for column in self.columns], axis=1)
        if self.categories is None:
            return columns.astype(np.float32)
        hot = columns[:, :, None] == np.asarray(self.categories)
        if not hot.any(axis=2).all():
            strange = columns[~hot.any(axis=2)][0]
            raise DataError(
                f"the property {self.name!r} is {strange:g} in an RNN, which is none of {self.categories}",
                remedy="predict another property, or leave such RNNs out.",
            )
        return hot.reshape(len(columns), -1).astype(np.float32)

    def angles(self, numbers: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N A"] | None:
        """Return targets or predictions as angles in units of `period`; None where the property is not an angle."""
        return None if self.period is None else numbers


@dataclass(frozen=True)
class AngleProperty(Property):
    """An angle in degrees as a direction: its cosine and its sine, without a jump at 360."""

    period: float | None = 360.0

    def target(self, table: Mapping[str, np.ndarray]) -> Float32[np.ndarray, "N D"]:
        """Return the cosines, then the sines, of all columns."""
        radians = np.radians(np.stack([np.asarray(table[column]) for column in self.columns], axis=1))
        return np.concatenate([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)

    def angles(self, numbers: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N A"]:
        """Return the angles, in degrees, of predicted cosines and sines."""
        cosines, sines = np.split(numbers, 2, axis=1)
        return np.degrees(np.arctan2(sines, cosines))


@dataclass(frozen=True)
class SampledTokens:
    """Episodes in which each next input is a token, sampled from the softmax of the output before."""

    draws: Float32[np.ndarray, "N S B"]
    """A uniform random number for each of S steps: the token is the number of those cumulative probabilities, but for
    the last, that it is above."""
    tokens: UInt8[np.ndarray, "N B C"]
    """The tokens, of which the first step is given. Writing the S others here ends the episodes."""


class Environment(ABC):
    """Runs of N RNNs in their tasks, B episodes each, side by side.

    Call `first` once, then `next` with each output until it returns None. After that `codes` and `performance`
    say what happened.
    """

    @abstractmethod
    def first(self) -> InputStep:
        """Return the first input of every episode, `(N, B, I)`."""

    @abstractmethod
    def next(self, outputs: OutputStep) -> InputStep | None:
        """Return the next input of every episode, given the outputs `(N, B, O)`; None at the end."""

    def sampled(self) -> SampledTokens | None:
        """Return a summary that determines episodes of tokens sampled from outputs; None for other episodes."""
        return None

    def known_inputs(self) -> InputSequences | None:
        """Return all inputs where they do not depend on the outputs, else None."""
        return None

    @abstractmethod
    def codes(self) -> UInt8[Tensor, "N B C"] | Int[Tensor, "N B C"]:
        """Return the episodes in the family's compact code, which `TaskFamily.rollout_inputs` converts to inputs."""

    @abstractmethod
    def performance(self) -> Float[Tensor, " N"]:
        """Return the performance of each RNN over its B episodes, from 0 to 1."""


@dataclass(frozen=True)
class TaskFamily(ABC):
    """A family of tasks. Subclasses are frozen dataclasses whose fields are the family's options.

    Examples:
        >>> family = tasks.build("formal-languages", {"alphabet_size": 3})
        >>> task = family.deal(num_runs=1, seed=0)[0].task
        >>> family.examples(task).kind.inputs
        'tokens'
    """

    name: ClassVar[str]
    """The name in the registry, and in zoos."""
    weight_decays: ClassVar[tuple[float, ...]] = (1e-4,)
    """AdamW's weight decay in this family; of several, each run draws one."""
    probing_length: ClassVar[int | None] = None
    """Probes in each sequence that a probing encoder should ask; None leaves it to the encoder."""
    task_columns: tuple[str, ...] = dataclasses.field(init=False, repr=False)
    """Names of the task parameters, as columns of the property table."""

    @property
    @abstractmethod
    def input_size(self) -> int:
        """Input features I of an RNN in this family."""

    @property
    @abstractmethod
    def output_size(self) -> int:
        """Output features O of an RNN in this family."""

    @property
    @abstractmethod
    def interface(self) -> Interface:
        """The kinds of inputs and outputs, and how a sequence begins."""

    @property
    @abstractmethod
    def properties(self) -> tuple[Property, ...]:
        """Properties of a snapshot that can be predicted."""

    @property
    @abstractmethod
    def ood_rule(self) -> str:
        """Definition of the out-of-distribution tasks, as a sentence; stored in the zoo."""

    @abstractmethod
    def deal(self, num_runs: int, seed: int) -> list[DealtTask]:
        """Deal a task to each run; that of run i does not depend on the number of runs."""

    @abstractmethod
    def examples(self, task: Task) -> Examples:
        """Return the training examples of a task."""

    def loss_examples(self, task: Task, number: int) -> LossExamples:  # noqa: ARG002
        """Return the examples for measuring the losses of a snapshot; by default all examples of the task.

        Args:
            task: task of the snapshot.
            number: number of examples to draw if there are too many to use all.
        """
        return LossExamples(None, self.examples(task))

    @property
    @abstractmethod
    def most_examples(self) -> int:
        """The number of examples of the task that has most.

        Batches are padded to it, whatever tasks train together: over another number of rows the sums are rounded in
        another order, and a run would depend on its company.
        """

    @abstractmethod
    def environment(
        self, tasks: Sequence[Task], num_episodes: int, generators: Sequence[np.random.Generator]
    ) -> Environment:
        """Build the environment for N RNNs, each with its task, its generator and `num_episodes` episodes."""

    @abstractmethod
    def rollout_inputs(self, codes: Tensor, tasks: Sequence[Task]) -> InputSequences:
        """Return the inputs `(N, B, T, I)` of RNNs in stored rollouts.

        Args:
            codes: rollouts of N RNNs, in the family's compact code.
            tasks: the task of each RNN.
        """

    @abstractmethod
    def decode(self, codes: Int[Tensor, " C"] | UInt8[Tensor, " C"]) -> str:
        """Describe a rollout for people."""

    @abstractmethod
    def describe(self, task: Task) -> str:
        """Describe a task for people, such as `a^n b^(n+1)`."""

    def before_end(self, codes: Tensor) -> Bool[Tensor, "N B T"] | None:  # noqa: ARG002
        """Return a mask of the steps of stored rollouts up to the end of their sequences; None if none ends early."""
        return None

    def task_blind_prediction(self, codes: Tensor) -> Float[Tensor, "N B T O"] | None:  # noqa: ARG002
        """Compute the best prediction that knows the family's tasks but not the RNN's.

        Args:
            codes: rollouts; the prediction of a step uses only the prefix before it.

        Returns:
            Probabilities that minimize the expected total variation; None if there is no closed form.
        """
        return None

    def options(self) -> dict[str, Any]:
        """Return the family's options as JSON-ready values, for `tasks.build(family.name, family.options())`.

        Fields with `metadata={"local": True}`, which depend on the machine, are left out.
        """
        fields = [field for field in dataclasses.fields(self) if field.init and not field.metadata.get("local")]
        return {field.name: getattr(self, field.name) for field in fields}


def one_hot(tokens: Tensor, num_tokens: int) -> Float[Tensor, "..."]:
    """Token numbers of any shape as points of the simplex, in a new last axis."""
    return torch.nn.functional.one_hot(tokens.long(), num_tokens).float()


def read_frames(
    images: UInt8[Tensor, "N B K"], values: Float[Tensor, " 256"], pixel_map: Int[Tensor, "N T I"]
) -> InputSequences:
    """Images as sequences of inputs, each RNN's through its own map (see `FrameExamples`).

    Args:
        images: B images for each of N RNNs.
        values: the input that each byte stands for.
        pixel_map: which byte feeds each input feature.
    """
    n, b, _ = images.shape
    known = values[images.int()]
    outside, blank = values[0].expand(n, b, 1), values.new_zeros(n, b, 1)
    feeds = pixel_map.flatten(1).long()[:, None].expand(-1, b, -1)  # converted once, not once for each image
    return torch.cat([known, outside, blank], dim=-1).gather(-1, feeds).unflatten(-1, pixel_map.shape[1:])
