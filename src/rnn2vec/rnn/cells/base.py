"""The contract of a recurrent cell: its parameters, its step, its initial weights and its symmetries in one object.

A layer with hidden state h reads x, its input or the output of the layer below. Each parameter is described by what its
axes count (`Parameter`), from which follow the shapes, the flat order and what a permutation of hidden units moves.

**Rescaling.** A permutation never changes the function of an RNN. Some cells allow more: multiply the rows of hidden
unit j in the *candidate* gate (the gate that computes what a unit takes in) by c, and divide all columns that read unit
j by c. Where tanh computes the candidate, c may be 1 or -1, because tanh is odd; where ReLU does, any c > 0; where the
candidate is linear, any c other than 0. The other gates multiply, and their rows stay.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from rnn2vec._errors import UsageError
from rnn2vec._shapes import LayerState

Rescaling = Literal["none", "signs", "positive", "nonzero"]
"""Factors that a hidden unit may be multiplied by: 1 alone; 1 and -1; all above 0; all but 0."""
LayerWeights = Mapping[str, Tensor]
"""Weights of one layer of N RNNs, each `(N, *shape)`, by the names in `Cell.parameters`."""


@dataclass(frozen=True)
class Parameter:
    """The meaning of the axes of a layer's parameter."""

    gates: tuple[str, ...]
    """Blocks of `hidden_size` rows, one per gate; none for a single number per layer."""
    columns: Literal["inputs", "hidden"] | None = None
    """Columns: the layer's inputs, its own hidden units, or none for a vector."""


class Cell(ABC):
    """A recurrent cell: the equations of a layer."""

    name: str
    """Name in the registry, and in specs."""
    gates: tuple[str, ...]
    """Gates, in the order of the rows of `input_part`."""
    parameters: Mapping[str, Parameter]
    """Parameters of a layer in flat order, without PyTorch's `rnn.` and `_l0`."""
    num_state_vectors: ClassVar[int] = 1
    """Vectors of `hidden_size` that a layer carries from step to step; the first is its output."""
    candidate: str
    """Gate that computes what a hidden unit takes in."""
    rescaling: Rescaling = "none"
    """Factors that a hidden unit may be multiplied by without a change of the function."""

    def shapes(self, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        """Return the shape of each parameter of a layer of one RNN."""
        columns = {"inputs": (input_size,), "hidden": (hidden_size,), None: ()}
        return {
            name: (len(parameter.gates) * hidden_size or 1, *columns[parameter.columns])
            for name, parameter in self.parameters.items()
        }

    def initial(
        self, name: str, shape: tuple[int, ...], hidden_size: int, generator: np.random.Generator
    ) -> Float64[np.ndarray, "..."]:
        """Draw a parameter at the start of training: by default uniform within 1 / sqrt(hidden size), as PyTorch does.

        Args:
            name: the parameter's name in `parameters`.
            shape: its shape.
            hidden_size: hidden units of the layer.
            generator: source of the numbers.
        """
        del name
        return uniform(shape, hidden_size, generator)

    def input_part(self, weights: LayerWeights, inputs: Float[Tensor, "N R I"]) -> Float[Tensor, "N R G"]:
        """Return what depends on the input alone, for any number R of steps and sequences at once.

        By default `W_ih x + b_ih`.
        """
        return affine(weights["weight_ih"], inputs, weights["bias_ih"])

    @abstractmethod
    def step(self, weights: LayerWeights, input_part: Float[Tensor, "N B G"], state: LayerState) -> LayerState:
        """Return the state of a layer after one step of B sequences of each RNN."""

    def torch_module(self, input_size: int, hidden_size: int, num_layers: int) -> nn.RNNBase:
        """Return `torch.nn`'s module of this cell, batch first; its parameters have the names in `parameters`.

        Raises:
            UsageError: PyTorch has no such module.
        """
        del input_size, hidden_size, num_layers
        raise UsageError(
            f"torch.nn has no module for the cell {self.name!r}",
            remedy="use the RNNStack itself: it runs, differentiates and flattens like a module.",
        )


def uniform(shape: tuple[int, ...], hidden_size: int, generator: np.random.Generator) -> Float64[np.ndarray, "..."]:
    """Draw numbers uniformly within 1 / sqrt(hidden size)."""
    bound = hidden_size**-0.5
    return generator.uniform(-bound, bound, shape)


def affine(
    weight: Float[Tensor, "N G K"], inputs: Float[Tensor, "N R K"], bias: Float[Tensor, "N G"]
) -> Float[Tensor, "N R G"]:
    """Return `W x + b` for each RNN."""
    return torch.baddbmm(bias.unsqueeze(1), inputs, weight.transpose(1, 2))


class TorchCell(Cell):
    """A cell that `torch.nn` has too: two affine maps, and a nonlinearity that combines them.

    The maps stay separate, because a GRU multiplies only the recurrent part of its candidate by the reset gate.
    """

    def __init__(self) -> None:
        self.parameters = {
            "weight_ih": Parameter(self.gates, "inputs"),
            "weight_hh": Parameter(self.gates, "hidden"),
            "bias_ih": Parameter(self.gates),
            "bias_hh": Parameter(self.gates),
        }

    def step(self, weights: LayerWeights, input_part: Float[Tensor, "N B G"], state: LayerState) -> LayerState:
        """See `Cell.step`."""
        return self.combine(input_part, affine(weights["weight_hh"], state[0], weights["bias_hh"]), state)

    @abstractmethod
    def combine(
        self, input_part: Float[Tensor, "N B G"], recurrent_part: Float[Tensor, "N B G"], state: LayerState
    ) -> LayerState:
        """Return the next state from `W_ih x + b_ih`, `W_hh h + b_hh` and the state."""
