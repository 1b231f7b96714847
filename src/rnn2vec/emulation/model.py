"""Encoder and emulator as one module, which is what pre-training optimizes."""

from __future__ import annotations

from torch import nn
from torch.nn.parallel import DistributedDataParallel

from rnn2vec._shapes import InputSequences, OutputSequences
from rnn2vec.emulation.emulator import Emulator
from rnn2vec.encoders.base import WeightEncoder
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.training.processes import Processes


class EmulationModel(nn.Module):
    """Encoder and emulator as one module: RNNs and inputs to emulated outputs."""

    def __init__(self, encoder: WeightEncoder, emulator: Emulator) -> None:
        super().__init__()
        self.encoder = encoder
        self.emulator = emulator

    def forward(self, rnns: RNNStack, inputs: InputSequences) -> OutputSequences:
        """Encode N RNNs, and emulate each on its inputs."""
        return self.emulator(self.encoder(rnns), inputs)

    def shared(self, processes: Processes) -> nn.Module:
        """The same, averaging gradients over the processes as they are computed."""
        return self if processes.count == 1 else DistributedDataParallel(self)
