"""RNNs and an emulator that imitates them exactly, so that what should be 1 or 0 can be told without training."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from rnn2vec._shapes import Representation
from rnn2vec.emulation.emulator import Emulator
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.tasks.base import Task
from rnn2vec.tasks.formal_languages import FormalLanguages

HIDDEN = 6


@dataclass
class Imitated:
    """RNNs, and an emulator that is each of them under its representation."""

    family: FormalLanguages
    rnns: RNNStack
    emulator: Emulator
    representations: Representation
    tasks: list[Task]


@pytest.fixture
def family() -> FormalLanguages:
    """Languages so small that even random RNNs hit them now and then."""
    return FormalLanguages(alphabet_size=2, smallest_offset=0, largest_offset=2, n_max=2, sequence_length=8)


@pytest.fixture
def imitated(family: FormalLanguages, generator: torch.Generator) -> Imitated:
    """Twelve of them.

    An emulator that reads its representation at every step is, for one representation, an LSTM with other input
    weights and biases: W_ih (W_x x + b_x + W_z z + b_z) + b_ih. These RNNs have just those.
    """
    spec = RNNSpec(cell="lstm", input_size=4, hidden_size=HIDDEN, num_layers=1, output_size=4)
    emulator = Emulator(4, 4, representation_size=3, hidden_size=HIDDEN, num_layers=1, conditioning="every-step")
    with torch.no_grad():
        for weight in emulator.parameters():
            weight.uniform_(-1.5, 1.5, generator=generator)
        representations = torch.randn(12, 3, generator=generator)
        reads = emulator.lstm.weight_ih_l0
        described = emulator.read_input.bias + emulator.read_representation(representations)
        weights = {
            "rnn.weight_ih_l0": (reads @ emulator.read_input.weight).expand(12, -1, -1),
            "rnn.weight_hh_l0": emulator.lstm.weight_hh_l0.expand(12, -1, -1),
            "rnn.bias_ih_l0": described @ reads.T + emulator.lstm.bias_ih_l0,
            "rnn.bias_hh_l0": emulator.lstm.bias_hh_l0.expand(12, -1),
            "readout.weight": emulator.readout.weight.expand(12, -1, -1),
            "readout.bias": emulator.readout.bias.expand(12, -1),
        }
    rnns = RNNStack(spec, {name: weights[name].detach() for name in spec.parameter_shapes})
    return Imitated(family, rnns, emulator, representations, [(float(i % 3),) for i in range(12)])
