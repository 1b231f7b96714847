"""One step of each recurrent cell, for N RNNs at once.

A cell gets its two affine maps ready-made, `W_ih x + b_ih` and `W_hh h + b_hh`, and does what is left:
the nonlinearity. They are kept apart because the GRU needs them apart: its candidate multiplies only the
recurrent part by the reset gate. The equations and the order of the gates are PyTorch's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from rnn2vec._shapes import LayerState
from rnn2vec.rnn.spec import CellName

Gates = Float[Tensor, "N B G"]


@dataclass(frozen=True)
class Cell:
    """The nonlinear part of a recurrent layer."""

    num_state_vectors: int
    """Vectors of `hidden_size` that a layer carries from step to step: 2 for an LSTM (hidden, cell), else 1."""
    step: Callable[[Gates, Gates, LayerState], LayerState]
    """`(input part, recurrent part, state) -> state`; the first state vector is the layer's output."""


def _lstm(input_part: Gates, recurrent_part: Gates, state: LayerState) -> LayerState:
    i, f, g, o = (input_part + recurrent_part).chunk(4, dim=-1)
    cell = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(cell), cell


def _gru(input_part: Gates, recurrent_part: Gates, state: LayerState) -> LayerState:
    input_r, input_z, input_n = input_part.chunk(3, dim=-1)
    recurrent_r, recurrent_z, recurrent_n = recurrent_part.chunk(3, dim=-1)
    reset = torch.sigmoid(input_r + recurrent_r)
    update = torch.sigmoid(input_z + recurrent_z)
    candidate = torch.tanh(input_n + reset * recurrent_n)
    return (candidate + update * (state[0] - candidate),)


def _rnn_tanh(input_part: Gates, recurrent_part: Gates, state: LayerState) -> LayerState:  # noqa: ARG001
    return (torch.tanh(input_part + recurrent_part),)


def _rnn_relu(input_part: Gates, recurrent_part: Gates, state: LayerState) -> LayerState:  # noqa: ARG001
    return (torch.relu(input_part + recurrent_part),)


CELLS: dict[CellName, Cell] = {
    "lstm": Cell(num_state_vectors=2, step=_lstm),
    "gru": Cell(num_state_vectors=1, step=_gru),
    "rnn_tanh": Cell(num_state_vectors=1, step=_rnn_tanh),
    "rnn_relu": Cell(num_state_vectors=1, step=_rnn_relu),
}
