"""What every converter ends with: the parts of one RNN, in PyTorch's terms, put together into its weights.

A framework's file is taken apart into recurrent layers, a readout, and what stands before them. Two things before them
are linear and fold into the lowest layer exactly, so that they are kept without a place of their own:

    an embedding E (V x D) of a token v:      W E[v]                 = (W E^T) one_hot(v)
    a fixed scaling of a continuous input x:  W (x - shift) / scale + b = (W / scale) x + (b - W (shift / scale))

A missing bias is a bias of zeros. An initial state folds into nothing: see `rnn2vec.rnn.blackbox.StackBlackBox`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from rnn2vec._errors import UsageError
from rnn2vec._registry import CELLS
from rnn2vec.rnn.spec import TORCH_CELLS, CellName, RNNSpec

Converted = tuple[RNNSpec, dict[str, Tensor]]
"""An architecture, and one RNN's weights by the names in `parameter_shapes`."""

REMEDY = (
    "give what holds one nn.LSTM, nn.GRU or nn.RNN (one direction, no projection) or cells of one of these, "
    "and one nn.Linear on its hidden state."
)


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One recurrent layer: rows in the order of PyTorch's gates."""

    weight_ih: Tensor
    """On the layer below, `(G, inputs)`."""
    weight_hh: Tensor
    """On its own last output, `(G, H)`."""
    bias_ih: Tensor | None = None
    """Added to the first, `(G,)`; None is zeros."""
    bias_hh: Tensor | None = None
    """Added to the second, `(G,)`; None is zeros."""


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """A fixed scaling of continuous inputs: the lowest layer sees `(x - shift) / scale`."""

    shift: Tensor
    """One number for each input, or one for all."""
    scale: Tensor
    """The same, none of them 0."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """One RNN, taken apart."""

    cell: CellName
    """Of all layers."""
    layers: Sequence[Layer]
    """The lowest first."""
    readout_weight: Tensor
    """`(O, H)`."""
    readout_bias: Tensor | None = None
    """`(O,)`; None is zeros."""
    embedding: Tensor | None = None
    """A row `(D,)` for each input token, if tokens are embedded."""
    scaling: Scaling | None = None
    """What is done to continuous inputs first, if anything."""


def assembled(parts: Parts) -> Converted:
    """The spec and the weights (copies) of an RNN given in parts.

    Raises:
        UsageError: shapes do not fit each other; the text names the first tensor that does not, in PyTorch's words.
    """
    lowest = _folded(parts)
    spec = RNNSpec(
        cell=parts.cell,
        input_size=matrix_shape(lowest.weight_ih, "weight_ih_l0")[1],
        hidden_size=matrix_shape(lowest.weight_hh, "weight_hh_l0")[1],
        num_layers=len(parts.layers),
        output_size=matrix_shape(parts.readout_weight, "readout.weight")[0],
    )
    tensors: dict[str, Tensor | None] = {"readout.weight": parts.readout_weight, "readout.bias": parts.readout_bias}
    for number, layer in enumerate((lowest, *parts.layers[1:])):
        tensors |= {f"rnn.{name}_l{number}": tensor for name, tensor in vars(layer).items()}
    return spec, fitted(spec, tensors)


def fitted(spec: RNNSpec, tensors: Mapping[str, Tensor | None]) -> dict[str, Tensor]:
    """Copies of the tensors in the order of the spec, zeros for biases that are None; each of the right shape."""
    reference = next(tensor for tensor in tensors.values() if tensor is not None)
    weights: dict[str, Tensor] = {}
    for name, shape in spec.parameter_shapes.items():
        tensor = tensors[name]
        if tensor is not None and tuple(tensor.shape) != shape:
            raise UsageError(f"{name} has shape {tuple(tensor.shape)}, expected {shape}", remedy=REMEDY)
        weights[name] = reference.new_zeros(shape) if tensor is None else tensor.detach().clone()
    return weights


def _folded(parts: Parts) -> Layer:
    """The lowest layer with the embedding or the scaling before it taken in."""
    layer = parts.layers[0]
    if parts.embedding is not None:
        return Layer(**vars(layer) | {"weight_ih": with_embedding(layer.weight_ih, parts.embedding)})
    if parts.scaling is not None:
        weight, bias = with_scaling(layer.weight_ih, layer.bias_ih, parts.scaling)
        return Layer(**vars(layer) | {"weight_ih": weight, "bias_ih": bias})
    return layer


def with_embedding(weight_ih: Float[Tensor, "G D"], embedding: Float[Tensor, "V D"]) -> Float[Tensor, "G V"]:
    """Input weights that take one-hot tokens in place of their embeddings; the product is rounded once."""
    return (weight_ih.detach().double() @ embedding.detach().double().T).to(weight_ih.dtype)


def with_scaling(
    weight_ih: Float[Tensor, "G I"], bias_ih: Float[Tensor, " G"] | None, scaling: Scaling
) -> tuple[Float[Tensor, "G I"], Float[Tensor, " G"]]:
    """Input weights and bias that take unscaled inputs.

    Raises:
        UsageError: the scaling is not of the inputs' size, or divides by 0.
    """
    inputs = weight_ih.shape[1]
    shift, scale = (numbers.detach().double().flatten() for numbers in (scaling.shift, scaling.scale))
    for what, numbers in (("shift", shift), ("scale", scale)):
        if len(numbers) not in {1, inputs}:
            raise UsageError(
                f"{len(numbers)} numbers of input {what} for {inputs} inputs",
                remedy="give one for each input or for all.",
            )
    if not scale.all():
        raise UsageError("an input scale of 0", remedy="give the numbers by which inputs are divided.")
    weight = weight_ih.detach().double() / scale
    bias = -(weight * shift).sum(dim=1) + (0 if bias_ih is None else bias_ih.detach().double())
    return weight.to(weight_ih.dtype), bias.to(weight_ih.dtype)


def matrix_shape(tensor: Tensor | None, name: str) -> tuple[int, int]:
    """Rows and columns.

    Raises:
        UsageError: the tensor is missing or no matrix.
    """
    if tensor is None or tensor.dim() != 2:
        given = "is missing" if tensor is None else f"has shape {tuple(tensor.shape)}"
        raise UsageError(f"{name} {given}, expected a matrix", remedy=REMEDY)
    return tensor.shape[0], tensor.shape[1]


def cell_of(rows: int, hidden_size: int, cell: CellName | None) -> CellName:
    """The cell that has `rows / hidden_size` gates; `cell` decides between tanh and ReLU.

    Raises:
        UsageError: no cell has, or `cell` is needed or contradicts the shapes.
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
