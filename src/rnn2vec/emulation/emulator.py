"""The emulator (Section 4): a recurrent network that imitates the RNN that a representation describes.

It reads the same inputs as the RNN. A linear projection of the representation is added to the first input, the BOS
token (`conditioning="first-step"`, as in the paper), or to every input (`"every-step"`).
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rnn2vec._seeding import seeded_modules
from rnn2vec._shapes import InputSequences, InputStep, OutputSequences, OutputStep, Representation
from rnn2vec.emulation.config import Conditioning
from rnn2vec.emulation.fused_emulator import emulate
from rnn2vec.rnn import fused
from rnn2vec.rnn.spec import RNNSpec

_LAYERS_OF_KERNELS = 2


class Emulator(nn.Module):
    """An LSTM that imitates RNNs, given their representations.

    Examples:
        >>> emulator = Emulator.build(spec, representation_size=16, seed=0)
        >>> outputs = emulator(torch.zeros(3, 16), torch.zeros(3, 10, 7, 4))
        >>> outputs.shape
        torch.Size([3, 10, 7, 4])

    Args:
        input_size: input features of the RNNs, I.
        output_size: output features of the RNNs, O.
        representation_size: size of a representation, Z.
        hidden_size: number of hidden units of each layer.
        num_layers: number of LSTM layers.
        conditioning: steps at which the representation enters.
        forget_bias: value added to the initial biases of the forget gates.
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
        self.accelerated = False
        """True to use compiled kernels if they fit (`rnn.fused`)."""
        self.read_input = nn.Linear(input_size, hidden_size)
        self.read_representation = nn.Linear(representation_size, hidden_size)
        self.lstm = nn.LSTM(hidden_size, hidden_size, num_layers, batch_first=True)
        self.readout = nn.Linear(hidden_size, output_size)
        with torch.no_grad():
            for layer in range(num_layers):
                getattr(self.lstm, f"bias_hh_l{layer}")[hidden_size : 2 * hidden_size] += forget_bias

    @classmethod
    def build(cls, spec: RNNSpec, *, representation_size: int, seed: int, **options: Any) -> Emulator:
        """Build an emulator for RNNs of this architecture with new, seeded weights; options as for the class."""
        with seeded_modules(seed, "emulator"):
            return cls(spec.input_size, spec.output_size, representation_size=representation_size, **options)

    def forward(self, representations: Representation, inputs: InputSequences) -> OutputSequences:
        """Imitate N RNNs on B sequences each: `(N, Z)` and `(N, B, T, I)` to outputs `(N, B, T, O)`."""
        n, b, _, _ = inputs.shape
        if self.accelerated and self._suits_kernels(inputs):
            starts = [start.repeat_interleave(b, dim=0) for start in self._starts(representations)]
            outputs = emulate(inputs.flatten(0, 1), starts, *self._weights_for_kernels())
            return outputs.unflatten(0, (n, b))
        read = self.read_input(inputs)
        description = self.read_representation(representations)[:, None, None]
        if self.conditioning == "every-step":
            read = read + description
        else:
            read = torch.cat([read[:, :, :1] + description, read[:, :, 1:]], dim=2)
        hidden, _ = self.lstm(read.flatten(0, 1))
        return self.readout(hidden).unflatten(0, (n, b))

    def _suits_kernels(self, inputs: Tensor) -> bool:
        weight = self.readout.weight
        return (
            fused.is_available()
            and self.lstm.num_layers == _LAYERS_OF_KERNELS
            and weight.device.type == inputs.device.type == "cpu"
            and weight.dtype == inputs.dtype == torch.float32
            and not inputs.requires_grad
            and not torch.is_autocast_enabled("cpu")
        )

    def _starts(self, representations: Representation) -> tuple[Float[Tensor, "N G"], Float[Tensor, "N G"]]:
        """Return the part of the lower layer's gates that depends on no input: in the first step, and in others."""
        (weight,) = self._of_lstm("weight_ih_l0")
        bias_ih, bias_hh = self._of_lstm("bias_ih_l0", "bias_hh_l0")
        plain = torch.addmv(bias_ih + bias_hh, weight, self.read_input.bias)
        described = plain + self.read_representation(representations) @ weight.T
        return described, described if self.conditioning == "every-step" else plain.expand_as(described)

    def _weights_for_kernels(self) -> tuple[list[Tensor], list[Tensor]]:
        """Return weights and biases in the form of `fused_emulator.emulate`."""
        into, around = self._of_lstm("weight_ih_l0", "weight_hh_l0")
        upper = torch.cat(self._of_lstm("weight_ih_l1", "weight_hh_l1"), dim=1)
        bias_ih, bias_hh = self._of_lstm("bias_ih_l1", "bias_hh_l1")
        weights = [into @ self.read_input.weight, around, upper, self.readout.weight]
        return weights, [bias_ih + bias_hh, self.readout.bias]

    def _of_lstm(self, *names: str) -> list[Tensor]:
        return [getattr(self.lstm, name) for name in names]


class Emulation:
    """An emulator with given representations, which steps like the N RNNs that they describe.

    Args:
        emulator: the emulator.
        representations: representations of N RNNs, `(N, Z)`.
    """

    def __init__(self, emulator: Emulator, representations: Representation) -> None:
        self._emulator = emulator
        self._description = emulator.read_representation(representations)

    def initial_state(self, num_sequences: int) -> tuple[int, tuple[Tensor, Tensor]]:
        """Return step 0 and a state of zeros, for `num_sequences` sequences per RNN."""
        lstm = self._emulator.lstm
        size = (lstm.num_layers, len(self._description) * num_sequences, lstm.hidden_size)
        zeros = self._description.new_zeros(size)
        return 0, (zeros, zeros)

    def step(
        self, inputs: InputStep, state: tuple[int, tuple[Tensor, Tensor]]
    ) -> tuple[OutputStep, tuple[int, tuple[Tensor, Tensor]]]:
        """Step every sequence: `(N, B, I)` to `(N, B, O)`."""
        position, memory = state
        read = self._emulator.read_input(inputs)
        if position == 0 or self._emulator.conditioning == "every-step":
            read = read + self._description[:, None]
        hidden, memory = self._emulator.lstm(read.flatten(0, 1).unsqueeze(1), memory)
        outputs = self._emulator.readout(hidden[:, 0]).unflatten(0, inputs.shape[:2])
        return outputs, (position + 1, memory)
