"""What is said between a probing encoder and RNNs: one exchange, and all of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from rnn2vec._shapes import InputSequences, InputStep, OutputSequences, OutputStep


@dataclass(frozen=True)
class Exchange:
    """One step of the dialogue with N RNNs, in M sequences side by side."""

    probes: InputStep
    """What was asked, `(N, M, I)`."""
    responses: OutputStep
    """What was answered, `(N, M, O)`, as the encoder reads it: log-probabilities where it normalizes tokens."""
    memory: Float[Tensor, "N hidden"]
    """What the encoder remembers after it."""


@dataclass(frozen=True)
class ProbingTranscript:
    """A whole dialogue with N RNNs: L exchanges in M sequences."""

    probes: InputSequences
    """What was asked, `(N, M, L, I)`."""
    responses: OutputSequences
    """What was answered, `(N, M, L, O)`, as the encoder read it."""
    representations: Float[Tensor, "N L Z"]
    """What the encoder would have said after each exchange; the last one is its representation."""

    @classmethod
    def of(cls, exchanges: list[Exchange], representations: list[Tensor]) -> ProbingTranscript:
        """Put the steps of a dialogue together."""
        return cls(
            torch.stack([exchange.probes for exchange in exchanges], dim=2),
            torch.stack([exchange.responses for exchange in exchanges], dim=2),
            torch.stack(representations, dim=1),
        )
