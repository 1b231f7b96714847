"""Encoder and emulator as one module, the object that pre-training optimizes."""

from __future__ import annotations

from torch import nn
from torch.nn.parallel import DistributedDataParallel

from rnn2vec._errors import UsageError
from rnn2vec._shapes import OutputSequences, Representation
from rnn2vec.emulation.data import Behaviour
from rnn2vec.emulation.emulator import Emulator
from rnn2vec.emulation.oracle import Oracle
from rnn2vec.encoders.base import WeightEncoder
from rnn2vec.training.processes import Processes


class EmulationModel(nn.Module):
    """Encoder and emulator as one module, from the behaviour of RNNs to emulated outputs."""

    def __init__(self, encoder: WeightEncoder, emulator: Emulator) -> None:
        super().__init__()
        self.encoder = encoder
        self.emulator = emulator

    def forward(self, behaviour: Behaviour) -> OutputSequences:
        """Encode N RNNs, and emulate each on its inputs."""
        return self.emulator(represent(self.encoder, behaviour), behaviour.inputs)

    def shared(self, processes: Processes) -> nn.Module:
        """Return a module that averages gradients over the processes as they are computed."""
        return self if processes.count == 1 else DistributedDataParallel(self)


def represent(encoder: WeightEncoder, behaviour: Behaviour) -> Representation:
    """Return representations of the RNNs; the oracle reads their labels, any other encoder the RNNs.

    Raises:
        UsageError: if the oracle gets no labels.
    """
    if not isinstance(encoder, Oracle):
        return encoder(behaviour.rnns)
    if behaviour.labels is None:
        raise UsageError(
            "the oracle needs tasks and snapshot steps, which these RNNs do not have",
            remedy="pre-train it on a zoo, or use another encoder.",
        )
    return encoder.from_labels(behaviour.labels)
