"""Tanh and ReLU RNNs that an exporter has written out, step by step, for sequences of one length.

PyTorch's exporter has no node for `nn.RNN`: every step is an `Add` of two products under a `Tanh` or a `Relu`. What is
below such a node is a linear function of the steps of the layer below and of the same layer's last output. It must be
the same function at every step; its two matrices and its shift are the layer's weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnn2vec._errors import UsageError
from rnn2vec.rnn.parts import Affine, Converted, Layer, Parts, assembled
from rnn2vec.rnn.reading.arrays import as_tensor
from rnn2vec.rnn.reading.onnx_graph import Graph
from rnn2vec.rnn.spec import CellName

_REMEDY = (
    "give a graph of LSTM, GRU or RNN nodes, or of nn.RNN as torch.onnx.export writes it; "
    "or the PyTorch weights themselves: torch.save(module.state_dict(), path)."
)
_MOVING = {"Squeeze", "Unsqueeze", "Transpose", "Reshape", "Identity", "Slice", "Split", "Gather", "Flatten", "Expand"}
_CELLS: dict[str, CellName] = {"Tanh": "rnn_tanh", "Relu": "rnn_relu"}
_LINKS = {"Softmax", "LogSoftmax", "Sigmoid"}
_DEEPEST = 200


@dataclass(frozen=True)
class _Linear:
    """A linear function of values that are computed elsewhere."""

    matrices: Mapping[str, np.ndarray | None]
    """Matrix `(features of the value, features)` for each value by name; None is the identity."""
    shift: Any = 0.0
    """Number or vector that is added."""


def unrolled(graph: Graph) -> Converted:
    """Return the RNN that a graph writes out.

    Raises:
        UsageError: if the graph does something else; the text names the node.
    """
    for node in graph.nodes:
        for name in node.input:
            graph.constant(name)  # refused where it claims more than it has
    kinds = {node.op_type for node in graph.nodes} & set(_CELLS)
    if len(kinds) != 1 or len(graph.outputs) != 1:
        names = ", ".join(sorted({node.op_type for node in graph.nodes}))
        raise UsageError(
            f"no LSTM, GRU or RNN node, and no RNN written out step by step, among {names}", remedy=_REMEDY
        )
    name = graph.outputs[0]
    last = graph.maker(name)
    head = _linear(graph, last.input[0] if last is not None and last.op_type in _LINKS else name)
    above, weight = _only(head)
    layers: list[Layer] = []
    while above not in graph.inputs:
        layer, above = _layer_of(graph, _steps(graph, above))
        layers.insert(0, layer)
    shift = None if np.ndim(head.shift) == 0 and not head.shift else as_tensor(np.asarray(head.shift, np.float32))
    return assembled(
        Parts(cell=_CELLS[kinds.pop()], layers=layers, readout=Affine(weight=as_tensor(weight.T), bias=shift))
    )


def _only(linear: _Linear) -> tuple[str, np.ndarray]:
    """Return the one value that a linear function depends on, and the matrix."""
    ((name, matrix),) = linear.matrices.items() if len(linear.matrices) == 1 else (("", None),)
    if matrix is None:
        raise UsageError(f"values that depend on {len(linear.matrices)} others through no matrix", remedy=_REMEDY)
    return name, matrix


def _steps(graph: Graph, name: str) -> list[str]:
    """Return the outputs of a layer step by step, given all of them or the last."""
    node = graph.maker(name)
    if node.op_type == "Concat":
        steps = [next(iter(_linear(graph, one).matrices), "") for one in node.input]
    else:
        steps = [name]
        while len(before := _before(graph, steps[0])) == 1:
            steps.insert(0, before[0])
    if len(steps) < 2 or any(graph.maker(one) is None or graph.maker(one).op_type not in _CELLS for one in steps):
        raise UsageError(f"{node.op_type} {node.name!r}, which is no sequence of steps of an RNN", remedy=_REMEDY)
    return steps


def _before(graph: Graph, step: str) -> list[str]:
    sources = _linear(graph, graph.maker(step).input[0]).matrices
    return [one for one in sources if (maker := graph.maker(one)) is not None and maker.op_type in _CELLS]


def _layer_of(graph: Graph, steps: Sequence[str]) -> tuple[Layer, str]:
    """Return a layer, and the value that it reads.

    Raises:
        UsageError: if its steps are different functions.
    """
    linear = [_linear(graph, graph.maker(step).input[0]) for step in steps]
    below = [name for name in linear[1].matrices if name != steps[0]]
    recurrent = linear[1].matrices.get(steps[0])
    if len(below) != 1 or recurrent is None or linear[1].matrices[below[0]] is None:
        raise UsageError(f"step {steps[1]!r}, which is no step of an RNN", remedy=_REMEDY)
    weight = linear[1].matrices[below[0]]
    for number, one in enumerate(linear):
        expected = {below[0]: weight} | ({steps[number - 1]: recurrent} if number else {})
        same = one.matrices.keys() == expected.keys() and np.allclose(one.shift, linear[1].shift, rtol=0, atol=1e-6)
        if not same or not all(_equal(one.matrices[name], matrix) for name, matrix in expected.items()):
            raise UsageError(f"step {steps[number]!r} is another function than those before", remedy=_REMEDY)
    assert weight is not None
    shift = np.broadcast_to(np.asarray(linear[1].shift, np.float32), (len(recurrent),))
    return (
        Layer(weight_ih=as_tensor(weight.T), weight_hh=as_tensor(recurrent.T), bias_ih=as_tensor(shift)),
        below[0],
    )


def _equal(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    return one is other or (one is not None and other is not None and np.array_equal(one, other))


def _linear(graph: Graph, name: str, depth: int = 0) -> _Linear:
    """Return a value as a linear function of inputs, steps and sequences of steps."""
    array, node = graph.constant(name), graph.maker(name)
    if array is not None:
        rows = array.reshape(-1, array.shape[-1]) if array.ndim else array.reshape(1, 1)
        if (rows != rows[:1]).any():
            raise UsageError(f"{name!r}, a constant that differs from step to step", remedy=_REMEDY)
        return _Linear({}, rows[0])
    if name in graph.inputs or (node is not None and node.op_type in {*_CELLS, "Concat"}):
        return _Linear({name: None})
    if node is None or depth > _DEEPEST:
        raise UsageError(f"{name!r}, which depends on no input", remedy=_REMEDY)
    if node.op_type in _MOVING:
        return _linear(graph, node.input[0], depth + 1)
    if node.op_type == "Add":
        return _sum(_linear(graph, node.input[0], depth + 1), _linear(graph, node.input[1], depth + 1))
    if node.op_type in {"MatMul", "Gemm"}:
        options = graph.attributes(node)
        matrix = graph.constant(node.input[1])
        if matrix is not None and matrix.ndim == 2 and not set(options) - {"transB"} - _defaults(options):
            matrix = matrix.T if options.get("transB") else matrix
            product = _times(_linear(graph, node.input[0], depth + 1), matrix)
            return _sum(product, _linear(graph, node.input[2], depth + 1)) if len(node.input) > 2 else product
    raise UsageError(f"{node.op_type} {node.name!r} in an RNN written out step by step is not read", remedy=_REMEDY)


def _defaults(options: dict[str, Any]) -> set[str]:
    return {name for name, default in (("alpha", 1), ("beta", 1), ("transA", 0)) if options.get(name) == default}


def _sum(one: _Linear, other: _Linear) -> _Linear:
    if one.matrices.keys() & other.matrices.keys():
        raise UsageError("a value that is added to itself", remedy=_REMEDY)
    return _Linear({**one.matrices, **other.matrices}, one.shift + other.shift)


def _times(linear: _Linear, matrix: np.ndarray) -> _Linear:
    products = {name: matrix if one is None else one @ matrix for name, one in linear.matrices.items()}
    return _Linear(products, linear.shift @ matrix if np.ndim(linear.shift) else 0.0)
