"""ONNX graphs: LSTM, GRU and RNN nodes under a linear readout.

The path of the data is followed back from each output to the input: linear maps, recurrent nodes one above the other,
and at the bottom perhaps an embedding (`Gather`). Between them may be nodes that only move numbers. Any other node on
the path is refused by name; nodes beside it compute shapes, or initial states, which must be zeros or inputs.

An LSTM's gates are `i o f c`, a GRU's `z r h`. A GRU with `linear_before_reset=0`, ONNX's default and not PyTorch's,
resets its state before it is multiplied with the recurrent weights, and is no PyTorch GRU.

A graph without such nodes may have an RNN step by step: see `onnx_unrolled`. The result is then compared with what
`onnx.reference` makes of the path. It runs those nodes alone: the rest of a foreign graph could take any time and
memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from rnn2vec._errors import UsageError
from rnn2vec.rnn.parts import Affine, Converted, Layer, Parts, assembled, stacked
from rnn2vec.rnn.reading.arrays import ArrayLayer, as_tensor, layers_in_torch_order
from rnn2vec.rnn.reading.onnx_graph import Graph, opened
from rnn2vec.rnn.reading.onnx_unrolled import unrolled
from rnn2vec.rnn.reading.onnx_verify import require_same_answers
from rnn2vec.rnn.reading.torch_files import damaged
from rnn2vec.rnn.reading.untrusted import Refused
from rnn2vec.rnn.spec import CellName
from rnn2vec.rnn.state_dicts import Hints

_REMEDY = (
    "give a graph of LSTM, GRU or RNN nodes under one MatMul or Gemm, the readout; probe anything else as a black box, "
    "FunctionBlackBox(...) around a runtime."
)
_ONE_OUTPUT = "export the graph with one output, the answers."
_RECURRENT = {"LSTM", "GRU", "RNN"}
_MOVING = {"Squeeze", "Unsqueeze", "Transpose", "Reshape", "Identity", "Cast", "Flatten", "Dropout", "Slice", "Gather"}
_ELEMENTWISE = {"Sub", "Div", "Mul", "Add"}
_SHAPING = {"Shape", "Mul", "Reshape", "Gather", "Concat", "Unsqueeze", "Squeeze", "Slice", "Cast", "Identity"}
_LINKS = {"Softmax", "LogSoftmax", "Sigmoid"}
_GATE_ORDERS: dict[CellName, str] = {"lstm": "i o f c", "gru": "z r h", "rnn_tanh": "", "rnn_relu": ""}
_ACTIVATIONS: dict[tuple[str, tuple[str, ...]], CellName] = {
    ("LSTM", ("Sigmoid", "Tanh", "Tanh")): "lstm",
    ("GRU", ("Sigmoid", "Tanh")): "gru",
    ("RNN", ("Tanh",)): "rnn_tanh",
    ("RNN", ("Relu",)): "rnn_relu",
}
_DEFAULTS = {kind: activations for kind, activations in _ACTIVATIONS if activations != ("Relu",)}
_SEQUENCE_LENGTHS, _INITIAL_H, _INITIAL_C, _PEEPHOLES = 4, 5, 6, 7  # which inputs of a node they are
_FLOATS = {1, 11}
_FAR = 2**31 - 1  # exporters write it for "to the end"


@dataclass
class _Path:
    """Nodes from an output back to the input."""

    recurrent: list[Any] = field(default_factory=list[Any])
    """Recurrent nodes, lowest first."""
    maps: list[list[Any]] = field(default_factory=lambda: [[]])
    """Linear nodes below each recurrent node, and those of the head at the end; lowest first."""
    nodes: list[Any] = field(default_factory=list[Any])
    """All of them, highest first."""
    fed: str = ""
    """Input of the lowest."""
    is_embedded: bool = False
    """True if inputs are token numbers."""


def read(path: Path, **hints: Unpack[Hints]) -> list[Converted]:
    """Return the RNN in an ONNX file, the only reading.

    Args:
        path: the file.
        **hints: only `check`: the graph says the rest.

    Raises:
        UsageError: if it holds something else, a hint was given, or onnx is not installed.
        DataError: if it is damaged, claims more than it has, or points to files elsewhere.
    """
    if needless := sorted(name for name, value in hints.items() if value and name != "check"):
        raise UsageError("hints for an ONNX file", remedy=f"leave out {', '.join(needless)}: the graph says it.")
    try:
        return [_read(opened(path))]
    except Refused as error:
        raise damaged("an ONNX file", error) from error


def _read(graph: Graph) -> Converted:
    if not any(node.op_type in _RECURRENT for node in graph.nodes):
        converted = unrolled(graph)
        require_same_answers(graph, graph.nodes, graph.outputs, converted, is_tokens=False)
        return converted
    found = [one for one in (_followed(graph, name) for name in graph.outputs) if one is not None]
    if not found:
        raise UsageError("no output with a readout above recurrent nodes", remedy=_REMEDY)
    trunks = {tuple(node.output[0] for node in one.recurrent) for one in found}
    if len(trunks) > 1:
        raise UsageError(f"{len(found)} outputs of different recurrent nodes", remedy=_ONE_OUTPUT)
    converted = _converted(graph, found)
    nodes = _with_shapes(graph, [node for path in found for node in path.nodes])
    outputs = [path.nodes[0].output[0] for path in found]
    require_same_answers(graph, nodes, outputs, converted, is_tokens=found[0].is_embedded)
    return converted


def _with_shapes(graph: Graph, path: Sequence[Any]) -> list[Any]:
    """Return nodes of a path in the order of the graph, with those that compute shapes for them."""
    wanted = {id(node) for node in path}
    waiting = [name for node in path for name in node.input[: 4 if node.op_type in _RECURRENT else None]]
    while waiting:
        node = graph.maker(waiting.pop())
        if node is not None and node.op_type in _SHAPING and id(node) not in wanted:
            wanted.add(id(node))
            waiting += node.input
    return [node for node in graph.nodes if id(node) in wanted]


# -- following the path ----------------------------------------------------------------------------


def _followed(graph: Graph, output: str) -> _Path | None:
    """Return the path below an output; None for an output that is a state, where there are others."""
    found, name = _Path(), output
    while name not in graph.inputs:
        node = graph.maker(name)
        if node is None or len(found.nodes) > len(graph.nodes):
            raise UsageError(f"output {output!r} depends on {name!r}, which is no input", remedy=_REMEDY)
        is_state = node.op_type in _RECURRENT and name in node.output[1:]
        if is_state and not found.maps[-1] and len(graph.outputs) > 1:
            return None
        if node.op_type in _RECURRENT and name == (node.output[2] if len(node.output) > 2 else None):
            raise UsageError(f"what is read of the {node.op_type} is its cell state", remedy=_REMEDY)
        if is_state and found.recurrent:
            raise UsageError(f"{node.op_type} whose last state alone feeds another layer", remedy=_REMEDY)
        found.nodes.append(node)
        name = _step_back(graph, node, found)
    found.fed = name
    if not found.recurrent or not found.maps[-1]:
        raise UsageError(f"no recurrent node under a readout on the path {_kinds(found.nodes)}", remedy=_REMEDY)
    return found


def _step_back(graph: Graph, node: Any, found: _Path) -> str:
    """Take note of a node, and return the input of it that carries the data."""
    constants = [graph.constant(name) for name in node.input]
    if node.op_type in _RECURRENT:
        found.recurrent.insert(0, node)
        found.maps.insert(0, [])
        return node.input[0]
    if node.op_type in _LINKS and not found.recurrent and not found.maps[-1]:
        _require_last_axis(graph, node)
        return node.input[0]
    if node.op_type == "Gather" and constants[0] is not None and found.recurrent and not found.is_embedded:
        found.maps[0].insert(0, node)
        found.is_embedded = True
        return node.input[1]
    if node.op_type in _MOVING and constants[0] is None:
        _require_only_moving(graph, node, found)
        return node.input[0]
    data = [place for place, array in enumerate(constants[:2]) if array is None]
    is_linear = node.op_type in {"MatMul", "Gemm"} and data == [0]
    is_linear = is_linear or (node.op_type in {"Add", "Mul"} and len(data) == 1)
    if not (is_linear or (node.op_type in _ELEMENTWISE and data == [0])) or found.is_embedded:
        where = "below" if found.recurrent else "above"
        raise UsageError(f"{_label(node)} {where} the recurrent nodes is not read", remedy=_REMEDY)
    found.maps[0].insert(0, node)
    return node.input[data[0]]


def _require_last_axis(graph: Graph, node: Any) -> None:
    axis = graph.attributes(node).get("axis", -1)
    if node.op_type != "Sigmoid" and axis not in {-1, 1, 2}:
        raise UsageError(f"{node.op_type} over axis {axis}", remedy=_REMEDY)


def _require_only_moving(graph: Graph, node: Any, found: _Path) -> None:
    """Refuse nodes that drop steps of the input or round numbers."""
    if node.op_type == "Cast" and not found.is_embedded and graph.attributes(node).get("to") not in _FLOATS:
        raise UsageError(f"{_label(node)} to numbers that are no floats", remedy=_REMEDY)
    if node.op_type == "Dropout" and len(node.input) > 2 and np.any(graph.constant(node.input[2])):
        raise UsageError("Dropout in training mode", remedy="export the module after module.eval().")
    if found.recurrent and (node.op_type == "Gather" or (node.op_type == "Slice" and not _is_whole(graph, node))):
        raise UsageError(f"{node.op_type} below the recurrent nodes, a window of the input", remedy=_REMEDY)


def _is_whole(graph: Graph, node: Any) -> bool:
    """Return True if a slice takes everything."""
    starts, ends, _, steps = [graph.constant(name) for name in (*node.input[1:], "", "")][:4]
    if starts is None or ends is None:
        return False
    return not starts.any() and bool((ends >= _FAR).all()) and (steps is None or bool((steps == 1).all()))


def _label(node: Any) -> str:
    return f"{node.op_type} {node.name!r}" if node.name else node.op_type


def _kinds(nodes: Sequence[Any]) -> str:
    kinds = [node.op_type for node in reversed(nodes)]
    return " -> ".join(kinds if len(kinds) <= 12 else [*kinds[:12], "..."]) or "of length 0"


# -- reading the nodes -----------------------------------------------------------------------------


def _converted(graph: Graph, found: Sequence[_Path]) -> Converted:
    first = found[0]
    cells: list[CellName] = [_cell_of(graph, node) for node in first.recurrent]
    if len(set(cells)) > 1:
        raise UsageError(f"nodes of several cells: {', '.join(cells)}", remedy=_REMEDY)
    layers = [_layer(graph, node, cells[0]) for node in first.recurrent]
    below: dict[int, Affine] = {}
    for number, nodes in enumerate(first.maps[:-1]):
        if nodes:
            below[number] = _from_above(graph, nodes, layers[number].weight_ih.shape[1])
    heads = [_from_below(graph, path.maps[-1], layers[-1].weight_hh.shape[1]) for path in found]
    return assembled(Parts(cell=cells[0], layers=layers, readout=stacked(heads), below=below))


def _from_above(graph: Graph, nodes: Sequence[Any], outputs: int) -> Affine:
    """Return the linear map of several nodes whose last has the given number of outputs."""
    whole = _identity(outputs)
    for node in reversed(nodes):
        whole = whole.after(_affine(graph, node, whole.weight.shape[1]))
    return whole


def _from_below(graph: Graph, nodes: Sequence[Any], inputs: int) -> Affine:
    """Return the linear map of several nodes whose first has the given number of inputs."""
    whole = _identity(inputs)
    for node in nodes:
        whole = _affine(graph, node, len(whole.weight)).after(whole)
    return Affine(weight=whole.weight.float(), bias=None if whole.bias is None else whole.bias.float())


def _identity(size: int) -> Affine:
    return Affine(weight=as_tensor(np.eye(size)))


def _affine(graph: Graph, node: Any, size: int) -> Affine:
    """Return the linear map of one node; `size` is that of its outputs where it changes numbers one by one."""
    constants = [None if (one := graph.constant(name)) is None else one.astype(np.float64) for name in node.input]
    if node.op_type == "Gather":
        assert constants[0] is not None
        return Affine(weight=as_tensor(_matrix(node, constants[0]).T))
    if node.op_type in {"MatMul", "Gemm"}:
        options = graph.attributes(node)
        if any(options.get(name, default) != default for name, default in (("alpha", 1), ("beta", 1), ("transA", 0))):
            raise UsageError(f"a Gemm with {options}", remedy=_REMEDY)
        assert constants[1] is not None
        matrix = _matrix(node, constants[1])
        matrix = matrix if options.get("transB") else matrix.T
        bias = (
            None if len(constants) < 3 or constants[2] is None else as_tensor(_vector(node, constants[2], len(matrix)))
        )
        return Affine(weight=as_tensor(matrix), bias=bias)
    number = constants[0] if constants[0] is not None else constants[1]
    assert number is not None
    vector = _vector(node, number, size)
    if node.op_type in {"Add", "Sub"}:
        return Affine(weight=as_tensor(np.eye(size)), bias=as_tensor(vector if node.op_type == "Add" else -vector))
    if not vector.all():
        raise UsageError(f"{node.op_type} by 0", remedy="leave out the inputs that the RNN does not get.")
    return Affine(weight=as_tensor(np.diag(vector if node.op_type == "Mul" else 1 / vector)))


def _matrix(node: Any, array: np.ndarray) -> np.ndarray:
    if array.ndim != 2:
        raise UsageError(f"{node.op_type} with a constant of shape {array.shape}, expected a matrix", remedy=_REMEDY)
    return array


def _vector(node: Any, array: np.ndarray, size: int) -> np.ndarray:
    """Return a constant as a number for each feature."""
    if array.size not in {1, size} or (array.size > 1 and array.shape[-1] != size):
        raise UsageError(f"{node.op_type} with a constant of shape {array.shape} for {size} features", remedy=_REMEDY)
    return np.broadcast_to(array.ravel(), (size,)).copy()


def _cell_of(graph: Graph, node: Any) -> CellName:
    """Return the cell of a node that does what PyTorch's does."""
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


def _layer(graph: Graph, node: Any, cell: CellName) -> Layer:
    arrays = [graph.constant(name) for name in node.input[1:4]]
    if len(arrays) < 2 or any(
        array is None or len(array) != 1 for array, name in zip(arrays, node.input[1:4], strict=True) if name
    ):
        raise UsageError(f"{node.op_type} whose weights are not constants of one direction", remedy=_REMEDY)
    kernels = [array[0] for array in arrays[:2] if array is not None]
    biases = np.split(arrays[2][0], 2) if len(arrays) > 2 and arrays[2] is not None else (None, None)
    layer = ArrayLayer(input_kernel=kernels[0], recurrent_kernel=kernels[1], bias=biases[0], recurrent_bias=biases[1])
    return layers_in_torch_order(cell, [layer], gate_order=_GATE_ORDERS[cell], transposed=False)[0]
