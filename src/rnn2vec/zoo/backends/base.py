"""The contract between the zoo trainer and what does the arithmetic.

Every backend gets the same arrays: the examples of each run's task, and for each step which of them are in the
batch and with what weight. What a backend adds is speed. The optimizer is part of the contract: AdamW as
PyTorch defines it (Loshchilov and Hutter 2019), the weight decay a number per run.

**Two kinds of examples.** Sequences of tokens or numbers are stored as they are read. Frames are read through a map: N
runs see the same images, each in its own way (rotated by its angle, cut into tiles), so what differs between runs is
which byte of an image feeds input feature i at step t. A million rotated images are one array of bytes and a small map
per run.

**Batches as weighted rows.** A batch is R rows of examples with weights that sum to 1, and its loss is the
weighted mean. A formal language has at most ten training strings, so a batch of 32 draws is ten rows with
weights count/32: the same loss and the same gradient for a third of the work. Where examples are more numerous
than the batch, each drawn one is a row of weight 1/32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, Float64, Int32, UInt8

from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.tasks.examples import ExampleKind

BETAS = (0.9, 0.999)
EPSILON = 1e-8
"""Adam's constants, PyTorch's defaults."""


@dataclass(frozen=True)
class RunSequences:
    """Examples that are sequences: those of N runs, padded to equally many."""

    inputs: UInt8[np.ndarray, "N E T"] | Float32[np.ndarray, "N E T I"]
    """Input tokens or numbers."""
    targets: UInt8[np.ndarray, "N E T"] | Float32[np.ndarray, "N E T O"]
    """Right output after each: a class or numbers."""
    step_weights: Float32[np.ndarray, "N E T"] | None = None
    """Weight of each step in the loss; None weighs all alike."""


@dataclass(frozen=True)
class RunFrames:
    """Examples that are images, read by N runs in N ways and classified at every step.

    With K bytes per image, input feature i of run n at step t for example e is, with k = `pixel_map[n, t, i]`,

        values[images[e, k]]  where k < K
        values[0]             where k = K      what lies outside of the image
        0.0                   where k = K + 1  the input before the image begins (BOS)

    and the right output at every step t is `labels[e]`.
    """

    images: UInt8[np.ndarray, "E K"]
    """The images, shared by all runs; C-contiguous."""
    labels: UInt8[np.ndarray, " E"] | Float32[np.ndarray, "E O"]
    """Right output for each image: a class or numbers."""
    values: Float32[np.ndarray, " 256"]
    """The input that each byte stands for."""
    pixel_map: Int32[np.ndarray, "N T I"]
    """Number of the byte that feeds each input feature, from 0 to K + 1."""
    step_weights: Float32[np.ndarray, "N T"] | None = None
    """Weight of each step in the loss; None weighs all alike."""


RunExamples = RunSequences | RunFrames
"""The examples of N runs."""


@dataclass(frozen=True)
class Batches:
    """S batches for each of N runs, as weighted rows of examples."""

    rows: Int32[np.ndarray, "N S R"]
    """Numbers of examples."""
    weights: Float32[np.ndarray, "N S R"]
    """Weight of each row in the loss; they sum to 1 over R."""


@dataclass
class TrainingState:
    """State of the training of N runs; backends change the arrays in place."""

    weights: Float[np.ndarray, "N P"]
    """Flat weights in PyTorch's order."""
    first_moments: Float[np.ndarray, "N P"]
    """Adam's running mean of the gradient."""
    second_moments: Float[np.ndarray, "N P"]
    """Adam's running mean of the squared gradient."""
    losses: Float64[np.ndarray, " N"]
    """The loss of the last batch, before its update."""
    step: int = 0
    """Updates made."""

    @classmethod
    def start(cls, weights: Float[np.ndarray, "N P"]) -> TrainingState:
        """Return the state before the first update."""
        return cls(weights.copy(), np.zeros_like(weights), np.zeros_like(weights), np.zeros(len(weights)))


@runtime_checkable
class Backend(Protocol):
    """Trains N runs of one architecture side by side."""

    name: str
    """Name of the backend, as in `--backend`; stored in the zoo."""

    def obstacle(self, spec: RNNSpec, kind: ExampleKind) -> str | None:
        """Return why this backend does not train such RNNs on such examples, on this machine; None if it does."""
        ...

    def train(
        self,
        spec: RNNSpec,
        examples: RunExamples,
        state: TrainingState,
        batches: Batches,
        learning_rates: Float64[np.ndarray, " S"],
        weight_decay: Float64[np.ndarray, " N"],
    ) -> None:
        """Make S updates of every run, changing `state` in place.

        The loss is the cross-entropy of each step's output, or its mean squared error where targets are numbers,
        averaged over the T steps (by their weights, if they have some) and the weighted rows.
        """
        ...
