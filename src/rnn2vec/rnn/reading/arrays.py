"""An RNN given as NumPy arrays, with the order of its gates said out loud: what any framework can be brought to.

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
from rnn2vec.rnn.parts import Converted, Layer, Parts, Scaling, assembled
from rnn2vec.rnn.spec import CellName
from rnn2vec.rnn.stack import RNNStack

_ORDERS: dict[CellName, str] = {"lstm": "ifgo", "gru": "rzn", "rnn_tanh": "n", "rnn_relu": "n"}
_OTHER_NAMES: dict[CellName, Mapping[str, str]] = {"lstm": {"c": "g"}, "gru": {"h": "n", "u": "z"}}

_TYPES = {"f": None, "i": np.float32, "u": np.float32, "b": np.float32}


@dataclass(frozen=True, kw_only=True)
class ArrayLayer:
    """One recurrent layer, gates side by side in the stated order."""

    input_kernel: np.ndarray
    """On the layer below: gates times H, by inputs; or the other way round."""
    recurrent_kernel: np.ndarray
    """On its own last output: gates times H, by H; or the other way round."""
    bias: np.ndarray | None = None
    """Added to the input's part, gates times H. For all cells but the GRU it does not matter to which part."""
    recurrent_bias: np.ndarray | None = None
    """Added to the recurrent part, gates times H."""


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
    """A stack of the one RNN that these arrays are.

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
        UsageError: the order does not name the cell's gates, or shapes do not fit.
        DataError: a weight is NaN or infinite.
    """
    shift_and_scale = None if input_scaling is None else [as_tensor(numbers) for numbers in input_scaling]
    return RNNStack.of_one(
        converted(
            cell,
            layers,
            readout_kernel,
            readout_bias,
            gate_order=gate_order,
            transposed=transposed,
            embedding=embedding,
            scaling=None if shift_and_scale is None else Scaling(shift=shift_and_scale[0], scale=shift_and_scale[1]),
        )
    )


def converted(
    cell: CellName,
    layers: Sequence[ArrayLayer],
    readout_kernel: np.ndarray,
    readout_bias: np.ndarray | None,
    *,
    gate_order: str,
    transposed: bool,
    embedding: np.ndarray | None,
    scaling: Scaling | None,
) -> Converted:
    """As `from_arrays`, for the readers of files."""
    order = _rows_order(cell, gate_order)
    return assembled(
        Parts(
            cell=cell,
            layers=[_in_torch_order(layer, order, transposed=transposed) for layer in layers],
            readout_weight=as_tensor(readout_kernel.T if transposed else readout_kernel),
            readout_bias=None if readout_bias is None else as_tensor(readout_bias),
            embedding=None if embedding is None else as_tensor(embedding),
            scaling=scaling,
        )
    )


def as_tensor(array: np.ndarray) -> Tensor:
    """A copy as a tensor of floats.

    Raises:
        UsageError: the array does not hold numbers.
    """
    if array.dtype.kind not in _TYPES:
        raise UsageError(f"an array of type {array.dtype}", remedy="give arrays of real numbers.")
    return torch.from_numpy(np.array(array, dtype=_TYPES[array.dtype.kind], order="C"))


def _rows_order(cell: CellName, gate_order: str) -> list[int]:
    """Where each of PyTorch's gates is in the given order."""
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
