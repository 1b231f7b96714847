"""The parts of one RNN, in PyTorch's terms, and how they become its weights.

Every converter takes a source apart into recurrent layers, a readout, and linear maps around them. A linear map folds
into the layer above it exactly, rounded once:

    a linear layer  A x + a:                  W (A x + a) + b           = (W A) x + (b + W a)
    an embedding E (V x D) of a token v:      W E[v]                    = (W E^T) one_hot(v)
    a fixed scaling of a continuous input x:  W (x - shift) / scale + b = (W / scale) x + (b - W (shift / scale))

A missing bias is a bias of zeros. An initial state folds into nothing: see `rnn2vec.rnn.blackbox.StackBlackBox`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from rnn2vec._errors import UsageError
from rnn2vec._registry import CELLS
from rnn2vec.rnn.spec import TORCH_CELLS, CellName, RNNSpec

REMEDY = (
    "give one nn.LSTM, nn.GRU or nn.RNN (one direction, no projection) or cells of one of these, "
    "and one nn.Linear on its hidden state; probe anything else as a black box: ModuleBlackBox(module)."
)
_EXACT_INTEGERS = 2**24  # all integers up to here are float32 numbers


class Converted(NamedTuple):
    """An RNN as read by a converter."""

    spec: RNNSpec
    """Architecture."""
    weights: dict[str, Tensor]
    """Weights by the names in `parameter_shapes`."""
    assumed: tuple[str, ...] = ()
    """Assumptions about what the source leaves open, one sentence each; empty where it says everything."""


class AssumedWarning(UserWarning):
    """An assumption about what a file or a state dict leaves open."""


def warn_of(assumed: Sequence[str]) -> None:
    """Give assumptions as warnings to the caller of the caller."""
    for one in assumed:
        warnings.warn(f"assumed: {one}; make sure with check=(inputs, outputs)", AssumedWarning, stacklevel=3)


def name_of(names: Sequence[str], number: int) -> str:
    """Return the name of an RNN in errors."""
    return names[number] if names else f"RNN {number}"


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A recurrent layer, with rows in the order of PyTorch's gates."""

    weight_ih: Tensor
    """Weights on the layer below, `(G, inputs)`."""
    weight_hh: Tensor
    """Weights on the last output of the layer, `(G, H)`."""
    bias_ih: Tensor | None = None
    """Bias of the first, `(G,)`; None is zeros."""
    bias_hh: Tensor | None = None
    """Bias of the second, `(G,)`; None is zeros."""


@dataclass(frozen=True, kw_only=True)
class Affine:
    """A linear map with a shift: a linear layer, an embedding, or a fixed scaling."""

    weight: Tensor
    """Matrix, `(outputs, inputs)`."""
    bias: Tensor | None = None
    """Shift, `(outputs,)`; None is zeros."""

    def after(self, below: Affine) -> Affine:
        """Return the map that applies `below` first, computed in float64 and rounded once.

        Raises:
            UsageError: if the maps do not fit each other.
        """
        weight, first = self.weight.detach().double(), below.weight.detach().double()
        if weight.shape[1] != first.shape[0]:
            raise UsageError(
                f"a linear map to {first.shape[0]} numbers under a weight of shape {tuple(weight.shape)}", remedy=REMEDY
            )
        if below.bias is None:
            return Affine(weight=(weight @ first).to(self.weight.dtype), bias=self.bias)
        bias = weight @ below.bias.detach().double() + (0 if self.bias is None else self.bias.detach().double())
        return Affine(weight=(weight @ first).to(self.weight.dtype), bias=bias.to(self.weight.dtype))


def stacked(heads: Sequence[Affine]) -> Affine:
    """Return parallel maps of the same inputs as one, with their outputs beside each other."""
    if len(heads) == 1:
        return heads[0]
    biases = [torch.zeros(len(one.weight)).to(one.weight) if one.bias is None else one.bias for one in heads]
    return Affine(weight=torch.cat([one.weight for one in heads]), bias=torch.cat(biases))


def embedding(table: Float[Tensor, "V D"]) -> Affine:
    """Return the map from one-hot tokens to their rows of a table."""
    return Affine(weight=table.T)


def scaling(shift: Tensor, scale: Tensor, inputs: int) -> Affine:
    """Return the map `(x - shift) / scale` of continuous inputs.

    Args:
        shift: a number for each input, or one for all.
        scale: a number for each input, or one for all.
        inputs: number of inputs.

    Raises:
        UsageError: if the number of shifts or scales does not fit, or a scale is 0.
    """
    shift, scale = (numbers.detach().double().flatten() for numbers in (shift, scale))
    for what, numbers in (("shift", shift), ("scale", scale)):
        if len(numbers) not in {1, inputs}:
            raise UsageError(
                f"{len(numbers)} numbers of input {what} for {inputs} inputs",
                remedy="give one for each input or for all.",
            )
    if not scale.all():
        raise UsageError("an input scale of 0", remedy="give the numbers by which inputs are divided.")
    return Affine(weight=torch.diag((1 / scale).expand(inputs)), bias=(-shift / scale).expand(inputs))


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of an RNN."""

    cell: CellName
    """Cell of all layers."""
    layers: Sequence[Layer]
    """Recurrent layers, lowest first."""
    readout: Affine
    """Linear map from the hidden state to the outputs."""
    below: Mapping[int, Affine] | None = None
    """Linear maps below layers, by the number of the layer: an embedding or a scaling below layer 0, say."""
    assumed: tuple[str, ...] = ()
    """Assumptions that the converter made."""


def assembled(parts: Parts) -> Converted:
    """Return the spec and the weights (copies) of an RNN given in parts.

    Raises:
        UsageError: if shapes do not fit each other; the text names the first tensor that does not, in PyTorch's words.
    """
    layers = [_folded(layer, (parts.below or {}).get(number)) for number, layer in enumerate(parts.layers)]
    spec = RNNSpec(
        cell=parts.cell,
        input_size=matrix_shape(layers[0].weight_ih, "weight_ih_l0")[1],
        hidden_size=matrix_shape(layers[0].weight_hh, "weight_hh_l0")[1],
        num_layers=len(layers),
        output_size=matrix_shape(parts.readout.weight, "readout.weight")[0],
    )
    tensors: dict[str, Tensor | None] = {"readout.weight": parts.readout.weight, "readout.bias": parts.readout.bias}
    for number, layer in enumerate(layers):
        tensors |= {f"rnn.{name}_l{number}": tensor for name, tensor in vars(layer).items()}
    return Converted(spec, _fitted(spec, tensors), parts.assumed)


def _folded(layer: Layer, below: Affine | None) -> Layer:
    if below is None:
        return layer
    folded = Affine(weight=exact(layer.weight_ih, "weight_ih"), bias=layer.bias_ih).after(below)
    return replace(layer, weight_ih=folded.weight, bias_ih=folded.bias)


def _fitted(spec: RNNSpec, tensors: Mapping[str, Tensor | None]) -> dict[str, Tensor]:
    """Return copies in the order of the spec and in one float type, zeros for biases that are None."""
    given = {name: exact(tensor, name) for name, tensor in tensors.items() if tensor is not None}
    types = {tensor.dtype for tensor in given.values()}
    widest = types.pop()
    for other in types:
        widest = torch.promote_types(widest, other)
    weights: dict[str, Tensor] = {}
    for name, shape in spec.parameter_shapes.items():
        tensor = given.get(name)
        if tensor is not None and tuple(tensor.shape) != shape:
            raise UsageError(f"{name} has shape {tuple(tensor.shape)}, expected {shape}", remedy=REMEDY)
        weights[name] = torch.zeros(shape, dtype=widest) if tensor is None else tensor.detach().clone().to(widest)
    return weights


def exact(tensor: Tensor, name: str) -> Tensor:
    """Return weights as floating-point numbers of the same values.

    Raises:
        UsageError: if the tensor is complex or quantized, or holds integers that float32 does not hold exactly.
    """
    if tensor.is_floating_point():
        return tensor.float() if tensor.element_size() == 1 else tensor
    whole = not tensor.is_complex() and not tensor.is_quantized
    if not whole or (tensor.numel() and bool((tensor.double().abs() > _EXACT_INTEGERS).any())):
        raise UsageError(
            f"{name} holds numbers of type {str(tensor.dtype).removeprefix('torch.')}, which are no exact float32",
            remedy="save real weights: {name: tensor.float() for name, tensor in state_dict.items()}.",
        )
    return tensor.float()


def matrix_shape(tensor: Tensor | None, name: str) -> tuple[int, int]:
    """Return the number of rows and columns.

    Raises:
        UsageError: if the tensor is missing or no matrix.
    """
    if tensor is None or tensor.dim() != 2:
        given = "is missing" if tensor is None else f"has shape {tuple(tensor.shape)}"
        raise UsageError(f"{name} {given}, expected a matrix", remedy=REMEDY)
    return tensor.shape[0], tensor.shape[1]


def cell_of(rows: int, hidden_size: int, cell: CellName | None) -> CellName:
    """Return the cell that has `rows / hidden_size` gates; `cell` decides between tanh and ReLU.

    Raises:
        UsageError: if there is no such cell, or `cell` is needed or contradicts the shapes.
    """
    fitting = [name for name in TORCH_CELLS if len(CELLS[name].gates) * hidden_size == rows]
    if not fitting:
        raise UsageError(
            f"weight_hh_l0 has {rows} rows and {hidden_size} columns, which fits no cell",
            remedy="expected 4H rows (LSTM), 3H (GRU) or H (tanh or ReLU RNN) for H columns.",
        )
    if cell is not None and cell not in fitting:
        raise UsageError(f"cell={cell!r}, but the shapes are those of {' or '.join(fitting)}", remedy="leave it out.")
    if cell is None and len(fitting) > 1:
        raise UsageError(
            f"the shapes fit {' and '.join(fitting)} alike", remedy="say which: cell='rnn_tanh' or cell='rnn_relu'."
        )
    return cell if cell is not None else fitting[0]
