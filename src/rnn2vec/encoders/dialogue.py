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
    """One step of the dialogue with N RNNs, in M sequences side by side."""

    probes: InputStep
    """The probes, `(N, M, I)`."""
    responses: OutputStep
    """The responses, `(N, M, O)`, as the encoder reads them: log-probabilities where it normalizes tokens."""
    reader: StepwiseLSTM
    """The LSTM that reads the responses."""
    memory: Memory
    """Its state after this exchange."""


@dataclass(frozen=True)
class ProbingTranscript:
    """A whole dialogue with N RNNs: L exchanges in M sequences."""

    probes: InputSequences
    """The probes, `(N, M, L, I)`."""
    responses: OutputSequences
    """The responses, `(N, M, L, O)`, as the encoder read them."""
    representations: Float[Tensor, "N L Z"]
    """The representation if the dialogue ended after each exchange; the last is the encoder's own."""

    @classmethod
    def of(cls, exchanges: list[Exchange], representations: list[Tensor]) -> ProbingTranscript:
        """Combine the exchanges of a dialogue."""
        return cls(
            torch.stack([exchange.probes for exchange in exchanges], dim=2),
            torch.stack([exchange.responses for exchange in exchanges], dim=2),
            torch.stack(representations, dim=1),
        )
