"""ONNX graphs: LSTM, GRU and RNN nodes under a linear readout.

The path of the data is followed back from the first output to the input: a linear layer, recurrent nodes one above the
other, and at the bottom nothing, an embedding (`Gather`) or a scaling (`Sub`, `Div`, `Mul`, `Add` with constants).
Between them may be what only moves numbers. Whatever else is on the path is refused by name; what is beside it computes
shapes, or initial states, which must be zeros or inputs.

An LSTM's gates are `i o f c`, a GRU's `z r h`. A GRU with `linear_before_reset=0`, ONNX's default and not PyTorch's,
resets its state before it is multiplied with the recurrent weights, and is no PyTorch GRU.

What was read is then compared with what `onnx.reference` makes of the path. It runs those nodes alone: the rest of a
foreign graph could take any time and memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rnn2vec._errors import DataError, UsageError
from rnn2vec.rnn.parts import Converted, Scaling
from rnn2vec.rnn.reading.arrays import ArrayLayer, as_tensor, converted
from rnn2vec.rnn.reading.onnx_graph import Graph, opened
from rnn2vec.rnn.reading.onnx_verify import DataPath, require_same_answers
from rnn2vec.rnn.reading.untrusted import Refused
from rnn2vec.rnn.spec import CellName

_REMEDY = "give a graph of LSTM, GRU or RNN nodes under one MatMul or Gemm, the readout, as its first output."
_MOVING = {"Squeeze", "Unsqueeze", "Transpose", "Reshape", "Identity", "Cast", "Flatten", "Dropout", "Slice", "Gather"}
_SCALING = {"Sub", "Div", "Mul", "Add"}
_GATE_ORDERS: dict[CellName, str] = {"lstm": "i o f c", "gru": "z r h", "rnn_tanh": "", "rnn_relu": ""}
_ACTIVATIONS: dict[tuple[str, tuple[str, ...]], CellName] = {
    ("LSTM", ("Sigmoid", "Tanh", "Tanh")): "lstm",
    ("GRU", ("Sigmoid", "Tanh")): "gru",
    ("RNN", ("Tanh",)): "rnn_tanh",
    ("RNN", ("Relu",)): "rnn_relu",
}
_DEFAULTS = {kind: activations for kind, activations in _ACTIVATIONS if activations != ("Relu",)}
_SEQUENCE_LENGTHS, _INITIAL_H, _INITIAL_C, _PEEPHOLES = 4, 5, 6, 7  # which inputs of a node they are


@dataclass
class _Found:
    """What was met on the way back from the output to the input."""

    recurrent: list[Any] = field(default_factory=list[Any])
    readout: np.ndarray | None = None
    readout_bias: np.ndarray | None = None
    embedding: np.ndarray | None = None
    factor: Any = 1.0
    offset: Any = 0.0
    nodes: list[Any] = field(default_factory=list[Any])
    fed: str = ""


def read(
    path: Path,
    *,
    cell: CellName | None = None,
    ignore: Sequence[str] = (),
    input_scaling: tuple[str, str] | None = None,
) -> Converted:
    """The RNN in an ONNX file.

    Args:
        path: the file.
        cell: not needed: a node says what it is.
        ignore: not needed: what the first output does not depend on is not read.
        input_scaling: not needed: the graph says it.

    Raises:
        UsageError: it holds something else, a hint was given, or onnx is not installed.
        DataError: it is damaged, claims more than it has, or points to other files.
    """
    if cell is not None or ignore or input_scaling is not None:
        raise UsageError(
            "hints for an ONNX file", remedy="leave out cell, ignore and input_scaling: the graph says it."
        )
    try:
        graph = opened(path)
        found = _followed(graph)
        result = _converted(graph, found)
    except Refused as error:
        raise DataError(f"{path} cannot be read as an ONNX file: {error}", remedy=_REMEDY) from error
    path_of_data = DataPath(nodes=found.nodes[::-1], fed=found.fed, is_tokens=found.embedding is not None)
    require_same_answers(graph, path_of_data, result)
    return result


# -- following the path ----------------------------------------------------------------------------


def _followed(graph: Graph) -> _Found:
    found, name = _Found(), graph.first_output
    while name not in graph.inputs:
        node = graph.maker(name)
        if node is None or len(found.nodes) > len(graph.nodes):
            raise UsageError(f"the first output depends on {name!r}, which is no input", remedy=_REMEDY)
        if node.op_type in {"LSTM", "GRU", "RNN"} and name == (node.output[2] if len(node.output) > 2 else None):
            raise UsageError(f"what is read of the {node.op_type} is its cell state", remedy=_REMEDY)
        found.nodes.append(node)
        name = _step_back(graph, node, found)
    found.fed = name
    if found.readout is None or not found.recurrent:
        raise UsageError(f"no recurrent node under a readout on the path {_kinds(found.nodes)}", remedy=_REMEDY)
    return found


def _step_back(graph: Graph, node: Any, found: _Found) -> str:
    """Take note of a node, and go on to the input of it that carries the data."""
    constants = [graph.constant(name) for name in node.input]
    if node.op_type in {"LSTM", "GRU", "RNN"}:
        found.recurrent.insert(0, node)
        return node.input[0]
    if not found.recurrent:
        return _step_above(graph, node, constants, found)
    if node.op_type == "Gather" and constants[0] is not None and found.embedding is None:
        found.embedding = constants[0]
        return node.input[1]
    if node.op_type in _MOVING and constants[0] is None:
        return node.input[0]
    if node.op_type in _SCALING and found.embedding is None:
        return _scaled(node, constants, found)
    raise UsageError(f"{node.op_type} below the recurrent nodes is not read", remedy=_REMEDY)


def _step_above(graph: Graph, node: Any, constants: Sequence[np.ndarray | None], found: _Found) -> str:
    """Above the recurrent nodes: a softmax at the very end, the readout, and what moves numbers."""
    if node.op_type in {"Softmax", "LogSoftmax"} and found.readout is None and found.readout_bias is None:
        return node.input[0]
    if node.op_type in _MOVING and constants[0] is None:
        return node.input[0]
    if node.op_type == "Add" and found.readout is None and found.readout_bias is None:
        data = 0 if constants[0] is None else 1
        found.readout_bias = constants[1 - data]
        if found.readout_bias is not None and constants[data] is None:
            return node.input[data]
    if node.op_type in {"MatMul", "Gemm"} and found.readout is None and constants[1] is not None:
        options = graph.attributes(node)
        if any(options.get(name, default) != default for name, default in (("alpha", 1), ("beta", 1), ("transA", 0))):
            raise UsageError(f"a Gemm with {options}", remedy=_REMEDY)
        found.readout = constants[1] if options.get("transB") else constants[1].T
        found.readout_bias = constants[2] if len(constants) > 2 else found.readout_bias
        return node.input[0]
    raise UsageError(f"{node.op_type} above the recurrent nodes is not read", remedy=_REMEDY)


def _scaled(node: Any, constants: Sequence[np.ndarray | None], found: _Found) -> str:
    """The lowest layer gets `factor * x + offset`; put the x of this node into it."""
    data = 0 if constants[0] is None else 1
    number = constants[1 - data]
    if number is None or constants[data] is not None or (data == 1 and node.op_type in {"Sub", "Div"}):
        raise UsageError(f"{node.op_type} of two inputs, or of a constant by an input, is not read", remedy=_REMEDY)
    number = number.astype(np.float64)
    if node.op_type in {"Sub", "Add"}:
        found.offset = found.offset + found.factor * (number if node.op_type == "Add" else -number)
    else:
        found.factor = found.factor * (number if node.op_type == "Mul" else 1 / number)
    return node.input[data]


def _kinds(nodes: Sequence[Any]) -> str:
    kinds = [node.op_type for node in reversed(nodes)]
    return " -> ".join(kinds if len(kinds) <= 12 else [*kinds[:12], "..."]) or "of length 0"


# -- reading the nodes -----------------------------------------------------------------------------


def _converted(graph: Graph, found: _Found) -> Converted:
    cells: list[CellName] = [_cell_of(graph, node) for node in found.recurrent]
    if len(set(cells)) > 1:
        raise UsageError(f"nodes of several cells: {', '.join(cells)}", remedy=_REMEDY)
    cell = cells[0]
    assert found.readout is not None
    factor, offset = np.ravel(found.factor), np.ravel(found.offset)
    is_scaled = not (np.all(factor == 1) and np.all(offset == 0))
    if not np.all(factor):
        raise UsageError("inputs multiplied by 0", remedy="leave out the inputs that the RNN does not get.")
    return converted(
        cell,
        [_layer(graph, node) for node in found.recurrent],
        found.readout,
        None if found.readout_bias is None else np.ravel(found.readout_bias),
        gate_order=_GATE_ORDERS[cell],
        transposed=False,
        embedding=found.embedding,
        scaling=Scaling(shift=as_tensor(-offset / factor), scale=as_tensor(1 / factor)) if is_scaled else None,
    )


def _cell_of(graph: Graph, node: Any) -> CellName:
    """The cell of a node that does what PyTorch's does."""
    options = graph.attributes(node)
    activations = tuple(name.decode() for name in options.get("activations", ())) or _DEFAULTS[node.op_type]
    cell = _ACTIVATIONS.get((node.op_type, activations))
    if cell is None:
        raise UsageError(f"{node.op_type} with activations {', '.join(activations)}", remedy=_REMEDY)
    if node.op_type == "GRU" and not options.get("linear_before_reset"):
        raise UsageError(
            "GRU with linear_before_reset=0, which is another cell",
            remedy="export one with linear_before_reset=1, as PyTorch's is, or probe it as a black box.",
        )
    if options.get("direction", b"forward") != b"forward":
        raise UsageError(f"{node.op_type} with direction={options['direction'].decode()}", remedy=_REMEDY)
    if "clip" in options or options.get("input_forget"):
        raise UsageError(f"{node.op_type} with clip or input_forget, which is another cell", remedy=_REMEDY)
    _check_inputs(graph, node)
    return cell


def _check_inputs(graph: Graph, node: Any) -> None:
    given = {place for place, name in enumerate(node.input) if name}
    if given & {_SEQUENCE_LENGTHS, _PEEPHOLES}:
        raise UsageError(f"{node.op_type} with sequence lengths or peepholes", remedy=_REMEDY)
    for place in given & {_INITIAL_H, _INITIAL_C}:
        if not graph.is_zero(node.input[place]):
            raise UsageError(
                f"{node.op_type} with an initial state {node.input[place]!r} that is not zeros",
                remedy="an initial state cannot be folded into weights: export the RNN with zeros, "
                "and give the state to StackBlackBox(stack, first_state=...).",
            )


def _layer(graph: Graph, node: Any) -> ArrayLayer:
    arrays = [graph.constant(name) for name in node.input[1:4]]
    if len(arrays) < 2 or any(
        array is None or len(array) != 1 for array, name in zip(arrays, node.input[1:4], strict=True) if name
    ):
        raise UsageError(f"{node.op_type} whose weights are not constants of one direction", remedy=_REMEDY)
    kernels = [array[0] for array in arrays[:2] if array is not None]
    biases = np.split(arrays[2][0], 2) if len(arrays) > 2 and arrays[2] is not None else (None, None)
    return ArrayLayer(input_kernel=kernels[0], recurrent_kernel=kernels[1], bias=biases[0], recurrent_bias=biases[1])
