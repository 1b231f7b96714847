"""Training examples of a task: sequences of tokens or numbers, or images, with a target at every step.

Targets that are classes are trained by cross-entropy, targets that are numbers by their mean squared error. Steps may
have weights; the loss of a sequence is then the weighted mean over its steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32, Int32, UInt8

from rnn2vec._errors import DataError


@dataclass(frozen=True)
class ExampleKind:
    """Kind of a family's examples: what a backend must be able to train."""

    inputs: Literal["tokens", "numbers", "images"] = "tokens"
    """Inputs of a step."""
    targets: Literal["classes", "numbers"] = "classes"
    """Target of a step."""
    is_weighted: bool = False
    """True if steps have weights."""

    def __str__(self) -> str:
        return f"{self.inputs} to {self.targets}{', with weights per step' if self.is_weighted else ''}"


@dataclass(frozen=True)
class SequenceExamples:
    """All different training examples of one task, with the probability of each.

    A training batch is a list of row numbers. So that one kernel serves all tasks, rows may be padded with
    rows of weight 0.

    Raises:
        DataError: if a number is NaN or infinite, a weight is negative, or all steps of an example have weight 0.
    """

    inputs: UInt8[np.ndarray, "E T"] | Float32[np.ndarray, "E T I"]
    """Input tokens or numbers of each example."""
    targets: UInt8[np.ndarray, "E T"] | Float32[np.ndarray, "E T O"]
    """Right output after each input: a class, or numbers."""
    weights: Float[np.ndarray, " E"]
    """Probability of each example, summing to 1."""
    step_weights: Float32[np.ndarray, "E T"] | None = None
    """Weight of each step in the loss, in any unit; None weighs all alike."""

    def __post_init__(self) -> None:
        for name in ("inputs", "targets", "weights", "step_weights"):
            numbers = getattr(self, name)
            if numbers is not None and not np.isfinite(numbers).all():
                raise DataError(f"{name} of examples are not finite", remedy="check how the family makes them.")
        steps = self.step_weights
        if steps is not None and ((steps < 0).any() or not steps.sum(axis=1).all()):
            raise DataError(
                "step_weights that are negative, or all 0 in an example",
                remedy="give weights of 0 or more, one of them positive in each example.",
            )

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def kind(self) -> ExampleKind:
        """Kind of the examples."""
        return ExampleKind(
            "tokens" if self.inputs.ndim == 2 else "numbers",
            "classes" if self.targets.ndim == 2 else "numbers",
            self.step_weights is not None,
        )


@dataclass(frozen=True)
class FrameExamples:
    """Equally likely examples that are images, of which a task shows each step of its sequences some pixels.

    All tasks of a family share the images; see `zoo.backends.base.RunFrames` for how they are read.
    """

    images: UInt8[np.ndarray, "E K"]
    """The images, K bytes each."""
    labels: UInt8[np.ndarray, " E"] | Float32[np.ndarray, "E O"]
    """Right output for each image at every step: a class, or numbers."""
    values: Float32[np.ndarray, " 256"]
    """The input that each byte stands for."""
    pixel_map: Int32[np.ndarray, "T I"]
    """Number of the byte that feeds each input feature at each step; K for a pixel outside the image, K + 1 for 0."""
    step_weights: Float32[np.ndarray, " T"] | None = None
    """Weight of each step in the loss; None weighs all alike."""

    def __len__(self) -> int:
        return len(self.images)

    @property
    def weights(self) -> Float[np.ndarray, " E"]:
        """Probability of each example."""
        return np.full(len(self), 1 / len(self))

    @property
    def kind(self) -> ExampleKind:
        """Kind of the examples."""
        return ExampleKind("images", "classes" if self.labels.ndim == 1 else "numbers", self.step_weights is not None)


Examples = SequenceExamples | FrameExamples
"""The examples of one task; one family has one kind."""


@dataclass(frozen=True)
class LossExamples:
    """Examples on which the losses of a snapshot are measured."""

    train: Examples | None
    """Examples that the RNN was trained on; None where the loss of its last batch suffices."""
    validation: Examples
    """Examples that it was not trained on, or all examples where a task has no others."""
