"""The minimal GRU (Feng et al. 2024, "Were RNNs All We Needed?"): gate and candidate read the input alone.

    z = sigmoid(W_z x + b_z),   n = W_n x + b_n,   h <- (1 - z) h + z n

The state enters linearly, so that a parallel scan could compute all steps; here all cells share the loop over steps.
Since n is linear, h scales with it: a hidden unit may be multiplied by any number but 0, of either sign, when the
columns that read the unit are divided by that number.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from rnn2vec._shapes import LayerState
from rnn2vec.rnn.cells.base import Cell, LayerWeights, Parameter


class MinGru(Cell):
    """The minimal GRU."""

    name = "mingru"
    gates = ("z", "n")
    parameters = {"weight_ih": Parameter(("z", "n"), "inputs"), "bias_ih": Parameter(("z", "n"))}  # noqa: RUF012
    candidate = "n"
    rescaling = "nonzero"

    def step(self, weights: LayerWeights, input_part: Float[Tensor, "N B G"], state: LayerState) -> LayerState:
        """See `Cell.step`."""
        del weights
        gate, candidate = input_part.chunk(2, dim=-1)
        return (torch.lerp(state[0], candidate, torch.sigmoid(gate)),)


MINGRU = MinGru()
