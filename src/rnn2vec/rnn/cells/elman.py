"""The vanilla RNN (Elman 1990), with tanh or ReLU: h <- f(W_ih x + b_ih + W_hh h + b_hh)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from rnn2vec._shapes import LayerState
from rnn2vec.rnn.cells.base import Rescaling, TorchCell


class Elman(TorchCell):
    """A vanilla RNN.

    Args:
        name: name in the registry.
        nonlinearity: the function f.
        rescaling: factors c with f(c a) = c f(a) for every a.
    """

    gates = ("n",)
    candidate = "n"

    def __init__(self, name: str, nonlinearity: Callable[[Tensor], Tensor], rescaling: Rescaling) -> None:
        super().__init__()
        self.name = name
        self.rescaling = rescaling
        self._nonlinearity = nonlinearity

    def combine(self, input_part: Tensor, recurrent_part: Tensor, state: LayerState) -> LayerState:
        """See `TorchCell.combine`."""
        del state
        return (self._nonlinearity(input_part + recurrent_part),)

    def torch_module(self, input_size: int, hidden_size: int, num_layers: int) -> nn.RNNBase:
        """See `Cell.torch_module`."""
        function = self._nonlinearity.__name__
        return nn.RNN(input_size, hidden_size, num_layers, nonlinearity=function, batch_first=True)


RNN_TANH = Elman("rnn_tanh", torch.tanh, "signs")
RNN_RELU = Elman("rnn_relu", torch.relu, "positive")
