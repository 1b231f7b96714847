"""The GRU (Cho et al. 2014) as PyTorch computes it, with gates reset r, update z, candidate n.

r, z = sigmoid(W_ih x + b_ih + W_hh h + b_hh),   n = tanh(W_ih x + b_ih + r (W_hh h + b_hh))
h <- (1 - z) n + z h
"""

from __future__ import annotations

import torch
from torch import nn

from rnn2vec._shapes import LayerState
from rnn2vec.rnn.cells.base import TorchCell


class Gru(TorchCell):
    """The GRU."""

    name = "gru"
    gates = ("r", "z", "n")
    candidate = "n"
    rescaling = "signs"

    def combine(self, input_part: torch.Tensor, recurrent_part: torch.Tensor, state: LayerState) -> LayerState:
        """See `TorchCell.combine`."""
        input_r, input_z, input_n = input_part.chunk(3, dim=-1)
        recurrent_r, recurrent_z, recurrent_n = recurrent_part.chunk(3, dim=-1)
        reset = torch.sigmoid(input_r + recurrent_r)
        update = torch.sigmoid(input_z + recurrent_z)
        candidate = torch.tanh(input_n + reset * recurrent_n)
        return (candidate + update * (state[0] - candidate),)

    def torch_module(self, input_size: int, hidden_size: int, num_layers: int) -> nn.RNNBase:
        """See `Cell.torch_module`."""
        return nn.GRU(input_size, hidden_size, num_layers, batch_first=True)


GRU = Gru()
