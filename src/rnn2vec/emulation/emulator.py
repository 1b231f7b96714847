"""The emulator (Section 4): a recurrent network that acts like whichever RNN its representation describes.

It reads the same inputs as the RNN. The representation enters as a linear projection that is added to the first
input, the BOS token (`conditioning="first-step"`, the paper's), or to every input (`"every-step"`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from rnn2vec._seeding import seeded_modules
from rnn2vec._shapes import InputSequences, InputStep, OutputSequences, OutputStep, Representation
from rnn2vec.emulation.config import Conditioning
from rnn2vec.rnn.spec import RNNSpec


class Emulator(nn.Module):
    """An LSTM that imitates RNNs, given their representations.

    Args:
        input_size: input features of the RNNs, I.
        output_size: output features of the RNNs, O.
        representation_size: entries of a representation, Z.
        hidden_size: hidden units of each layer.
        num_layers: LSTM layers.
        conditioning: where the representation enters.
        forget_bias: added to the forget gates at the start.
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        representation_size: int = 16,
        hidden_size: int = 256,
        num_layers: int = 2,
        conditioning: Conditioning = "first-step",
        forget_bias: float = 1.0,
    ) -> None:
        super().__init__()
        self.conditioning = conditioning
        self.read_input = nn.Linear(input_size, hidden_size)
        self.read_representation = nn.Linear(representation_size, hidden_size)
        self.lstm = nn.LSTM(hidden_size, hidden_size, num_layers, batch_first=True)
        self.readout = nn.Linear(hidden_size, output_size)
        with torch.no_grad():
            for layer in range(num_layers):
                getattr(self.lstm, f"bias_hh_l{layer}")[hidden_size : 2 * hidden_size] += forget_bias

    @classmethod
    def build(cls, spec: RNNSpec, *, representation_size: int, seed: int, **options: Any) -> Emulator:
        """An emulator for RNNs of this architecture with new, seeded weights; options as for the class."""
        with seeded_modules(seed, "emulator"):
            return cls(spec.input_size, spec.output_size, representation_size=representation_size, **options)

    def forward(self, representations: Representation, inputs: InputSequences) -> OutputSequences:
        """Imitate N RNNs on B sequences each: `(N, Z)` and `(N, B, T, I)` to outputs `(N, B, T, O)`."""
        n, b, _, _ = inputs.shape
        read = self.read_input(inputs)
        description = self.read_representation(representations)[:, None, None]
        if self.conditioning == "every-step":
            read = read + description
        else:
            read = torch.cat([read[:, :, :1] + description, read[:, :, 1:]], dim=2)
        hidden, _ = self.lstm(read.flatten(0, 1))
        return self.readout(hidden).unflatten(0, (n, b))


class Emulation:
    """An emulator under given representations: steps like the N RNNs that they describe.

    Args:
        emulator: the emulator.
        representations: one for each RNN, `(N, Z)`.
    """

    def __init__(self, emulator: Emulator, representations: Representation) -> None:
        self._emulator = emulator
        self._description = emulator.read_representation(representations)

    def initial_state(self, num_sequences: int) -> tuple[int, tuple[Tensor, Tensor]]:
        """Step 0 and zeros, for `num_sequences` sequences per RNN."""
        lstm = self._emulator.lstm
        size = (lstm.num_layers, len(self._description) * num_sequences, lstm.hidden_size)
        zeros = self._description.new_zeros(size)
        return 0, (zeros, zeros)

    def step(
        self, inputs: InputStep, state: tuple[int, tuple[Tensor, Tensor]]
    ) -> tuple[OutputStep, tuple[int, tuple[Tensor, Tensor]]]:
        """One step of every sequence: `(N, B, I)` to `(N, B, O)`."""
        position, memory = state
        read = self._emulator.read_input(inputs)
        if position == 0 or self._emulator.conditioning == "every-step":
            read = read + self._description[:, None]
        hidden, memory = self._emulator.lstm(read.flatten(0, 1).unsqueeze(1), memory)
        outputs = self._emulator.readout(hidden[:, 0]).unflatten(0, inputs.shape[:2])
        return outputs, (position + 1, memory)
