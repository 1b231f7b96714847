"""The rate network of neuroscience: leaky units whose time constants are learned.

    h <- (1 - a) h + a tanh(W_ih x + W_hh h + b),   a = sigmoid(leak)

This is the Euler step of tau dh/dt = -h + tanh(W_ih x + W_hh h + b) with a = dt / tau (Song et al. 2016; Yang et al.
2019, who set a by hand). The leak is a parameter like any other: one per unit (`leaky`) or one per layer
(`leaky_shared`).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from rnn2vec._shapes import LayerState
from rnn2vec.rnn.cells.base import Cell, LayerWeights, Parameter


class Leaky(Cell):
    """Leaky tanh units.

    Args:
        name: name in the registry.
        leak: axes of the leak.
    """

    gates = ("n",)
    candidate = "n"
    rescaling = "signs"  # tanh is odd, and the leak multiplies whole states

    def __init__(self, name: str, leak: Parameter) -> None:
        self.name = name
        self.parameters = {
            "weight_ih": Parameter(("n",), "inputs"),
            "weight_hh": Parameter(("n",), "hidden"),
            "bias_ih": Parameter(("n",)),
            "leak": leak,
        }

    def step(self, weights: LayerWeights, input_part: Float[Tensor, "N B G"], state: LayerState) -> LayerState:
        """See `Cell.step`."""
        rate = torch.sigmoid(weights["leak"]).unsqueeze(1)
        drive = input_part + state[0] @ weights["weight_hh"].transpose(1, 2)
        return (torch.lerp(state[0], torch.tanh(drive), rate),)


LEAKY = Leaky("leaky", Parameter(("leak",)))
LEAKY_SHARED = Leaky("leaky_shared", Parameter(()))
