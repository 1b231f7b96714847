"""The dialogue between a probing encoder and RNNs: one exchange, and the transcript of all."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from rnn2vec._shapes import InputSequences, InputStep, OutputSequences, OutputStep
from rnn2vec.encoders.stepwise_lstm import Memory, StepwiseLSTM


@dataclass(frozen=True)
class Exchange:
    """A step of the dialogue with N RNNs, in M parallel sequences."""

    probes: InputStep
    """Probes, `(N, M, I)`."""
    responses: OutputStep
    """Responses, `(N, M, O)`, in the form that the encoder reads: log-probabilities if it normalizes tokens."""
    reader: StepwiseLSTM
    """The LSTM that reads the responses."""
    memory: Memory
    """State of the reader after this exchange."""


@dataclass(frozen=True)
class ProbingTranscript:
    """A whole dialogue with N RNNs: L exchanges in M sequences."""

    probes: InputSequences
    """Probes, `(N, M, L, I)`."""
    responses: OutputSequences
    """Responses, `(N, M, L, O)`, in the form that the encoder reads."""
    representations: Float[Tensor, "N L Z"]
    """Representations if the dialogue ended after each exchange; the last is the encoder's own."""

    @classmethod
    def of(cls, exchanges: list[Exchange], representations: list[Tensor]) -> ProbingTranscript:
        """Combine the exchanges of a dialogue."""
        return cls(
            torch.stack([exchange.probes for exchange in exchanges], dim=2),
            torch.stack([exchange.responses for exchange in exchanges], dim=2),
            torch.stack(representations, dim=1),
        )
