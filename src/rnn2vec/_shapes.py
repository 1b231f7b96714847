"""Axis names and shape aliases: one alphabet for the whole library.

| axis | meaning                                        |
|------|------------------------------------------------|
| `N`  | recurrent networks (RNNs) in a stack           |
| `B`  | sequences per RNN                              |
| `T`  | steps of a sequence                            |
| `I`  | input features                                 |
| `O`  | output features                                |
| `H`  | hidden units of a layer                        |
| `G`  | rows of a gate matrix: gates times `H`         |
| `P`  | parameters of one RNN                          |
| `Z`  | entries of a representation                    |

Axes always come in this order.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

FlatWeights = Float[Tensor, "N P"]
InputSequences = Float[Tensor, "N B T I"]
OutputSequences = Float[Tensor, "N B T O"]
InputStep = Float[Tensor, "N B I"]
OutputStep = Float[Tensor, "N B O"]
Representation = Float[Tensor, "N Z"]

LayerState = tuple[Float[Tensor, "N B H"], ...]
"""`(hidden,)`, and for an LSTM `(hidden, cell)`."""
State = tuple[LayerState, ...]
"""A `LayerState` for each layer, the lowest first."""
