"""The LSTM (Hochreiter and Schmidhuber 1997), with PyTorch's gates: input i, forget f, candidate g, output o.

i, f, o = sigmoid(W_ih x + b_ih + W_hh h + b_hh),   g = tanh(the same)
c <- f c + i g,   h <- o tanh(c)
"""

from __future__ import annotations

import torch
from torch import nn

from rnn2vec._shapes import LayerState
from rnn2vec.rnn.cells.base import TorchCell


class Lstm(TorchCell):
    """The LSTM; its state vectors are the hidden state and the cell state."""

    name = "lstm"
    gates = ("i", "f", "g", "o")
    num_state_vectors = 2
    candidate = "g"
    rescaling = "signs"

    def combine(self, input_part: torch.Tensor, recurrent_part: torch.Tensor, state: LayerState) -> LayerState:
        """See `TorchCell.combine`."""
        i, f, g, o = (input_part + recurrent_part).chunk(4, dim=-1)
        cell = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(cell), cell

    def torch_module(self, input_size: int, hidden_size: int, num_layers: int) -> nn.RNNBase:
        """See `Cell.torch_module`."""
        return nn.LSTM(input_size, hidden_size, num_layers, batch_first=True)


LSTM = Lstm()
