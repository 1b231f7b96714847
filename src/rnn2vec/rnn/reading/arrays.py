"""An RNN given as NumPy arrays with an explicit order of gates, a form to which any framework can be brought.

| framework | LSTM | GRU | kernels |
|---|---|---|---|
| PyTorch, Equinox | i f g o | r z n | (units, inputs) |
| Keras | i f c o | z r h | (inputs, units) |
| ONNX | i o f c | z r h | (units, inputs) |
| Flax (gate by gate) | i f g o | r z n | (inputs, units) |

Names of one gate: `g` or `c` is an LSTM's candidate, `n` or `h` a GRU's, `z` or `u` its update gate. In all of these
the GRU keeps `z` of its old state; one that keeps `1 - z` has another sign there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rnn2vec._errors import UsageError
from rnn2vec.rnn import parts
from rnn2vec.rnn.parts import Affine, Layer, Parts, assembled
from rnn2vec.rnn.spec import CellName
from rnn2vec.rnn.stack import RNNStack

_ORDERS: dict[CellName, str] = {"lstm": "ifgo", "gru": "rzn", "rnn_tanh": "n", "rnn_relu": "n"}
_OTHER_NAMES: dict[CellName, Mapping[str, str]] = {"lstm": {"c": "g"}, "gru": {"h": "n", "u": "z"}}

_TYPES = {"f": None, "i": np.float32, "u": np.float32, "b": np.float32}


@dataclass(frozen=True, kw_only=True)
class ArrayLayer:
    """A recurrent layer, with the gates side by side in the stated order.

    Examples:
        >>> layer = ArrayLayer(input_kernel=np.ones((2, 1)), recurrent_kernel=np.zeros((2, 2)))
        >>> stack = from_arrays("rnn_tanh", [layer], np.ones((1, 2)))
        >>> stack.spec.hidden_size
        2
    """

    input_kernel: np.ndarray
    """Weights on the layer below: gates times H, by inputs; or the other way round."""
    recurrent_kernel: np.ndarray
    """Weights on the last output of the layer: gates times H, by H; or the other way round."""
    bias: np.ndarray | None = None
    """Bias of the input's part, gates times H. For all cells but the GRU it does not matter to which part."""
    recurrent_bias: np.ndarray | None = None
    """Bias of the recurrent part, gates times H."""


def from_arrays(
    cell: CellName,
    layers: Sequence[ArrayLayer],
    readout_kernel: np.ndarray,
    readout_bias: np.ndarray | None = None,
    *,
    gate_order: str = "",
    transposed: bool = False,
    embedding: np.ndarray | None = None,
    input_scaling: tuple[np.ndarray, np.ndarray] | None = None,
) -> RNNStack:
    """Return a stack of the one RNN that these arrays are.

    Examples:
        >>> layer = ArrayLayer(input_kernel=np.ones((2, 1)), recurrent_kernel=np.zeros((2, 2)))
        >>> stack = from_arrays("rnn_tanh", [layer], np.ones((1, 2)), np.zeros(1))
        >>> stack.flatten().shape
        torch.Size([1, 13])

    Args:
        cell: of all layers.
        layers: the lowest first.
        readout_kernel: O by H; H by O where `transposed`.
        readout_bias: `(O,)`.
        gate_order: such as `"i f c o"`; needed for an LSTM and a GRU.
        transposed: kernels are (inputs, units), as in Keras and Flax, and not (units, inputs).
        embedding: a row for each input token, if tokens are embedded first.
        input_scaling: if the RNN is fed `(input - first) / second`.

    Raises:
        UsageError: if the order does not name the cell's gates, or shapes do not fit.
        DataError: if a weight is NaN or infinite.
    """
    in_torch_order = layers_in_torch_order(cell, layers, gate_order=gate_order, transposed=transposed)
    below = None if embedding is None else parts.embedding(as_tensor(embedding))
    if input_scaling is not None:
        below = parts.scaling(*map(as_tensor, input_scaling), inputs=in_torch_order[0].weight_ih.shape[1])
    return RNNStack.of_one(
        assembled(
            Parts(
                cell=cell,
                layers=in_torch_order,
                readout=affine(readout_kernel, readout_bias, transposed=transposed),
                below=None if below is None else {0: below},
            )
        ),
        name="arrays",
    )


def affine(kernel: np.ndarray, bias: np.ndarray | None, *, transposed: bool) -> Affine:
    """Return a linear layer given as arrays; the kernel is (inputs, units) where `transposed`."""
    return Affine(weight=as_tensor(kernel.T if transposed else kernel), bias=None if bias is None else as_tensor(bias))


def layers_in_torch_order(
    cell: CellName, layers: Sequence[ArrayLayer], *, gate_order: str, transposed: bool
) -> list[Layer]:
    """Return recurrent layers with their gates in PyTorch's order.

    Raises:
        UsageError: if the order does not name the cell's gates, or shapes do not fit.
    """
    order = _rows_order(cell, gate_order)
    return [_in_torch_order(layer, order, transposed=transposed) for layer in layers]


def as_tensor(array: np.ndarray) -> Tensor:
    """Return a copy as a tensor of floats.

    Raises:
        UsageError: if the array does not hold numbers.
    """
    if array.dtype.kind not in _TYPES:
        raise UsageError(f"an array of type {array.dtype}", remedy="give arrays of real numbers.")
    return torch.from_numpy(np.array(array, dtype=_TYPES[array.dtype.kind], order="C"))


def _rows_order(cell: CellName, gate_order: str) -> list[int]:
    """Return the place of each of PyTorch's gates in the given order."""
    names = [_OTHER_NAMES.get(cell, {}).get(name, name) for name in gate_order.lower() if name.isalpha()]
    expected = _ORDERS[cell]
    if len(expected) == 1:
        return [0]
    if sorted(names) != sorted(expected):
        raise UsageError(
            f"gate_order={gate_order!r} for an {cell}",
            remedy=f"name each of its gates once, in the order of the arrays, as PyTorch does: {' '.join(expected)!r}.",
        )
    return [names.index(gate) for gate in expected]


def _in_torch_order(layer: ArrayLayer, order: Sequence[int], *, transposed: bool) -> Layer:
    def rows(array: np.ndarray | None) -> Tensor | None:
        if array is None:
            return None
        upright = array.T if transposed and array.ndim == 2 else array
        if len(upright) % len(order):
            raise UsageError(
                f"{len(upright)} rows for {len(order)} gates", remedy="give the gates side by side, or transposed=True."
            )
        gates = np.split(upright, len(order))
        return as_tensor(np.concatenate([gates[place] for place in order]))

    kernels = rows(layer.input_kernel), rows(layer.recurrent_kernel)
    assert kernels[0] is not None
    assert kernels[1] is not None
    return Layer(
        weight_ih=kernels[0], weight_hh=kernels[1], bias_ih=rows(layer.bias), bias_hh=rows(layer.recurrent_bias)
    )
