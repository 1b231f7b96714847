"""Verification of what was read of an ONNX graph against what the graph computes.

`onnx.reference` knows no ReLU RNN, so such nodes are compared as tanh RNNs of the same weights on both sides: the path,
the order of gates and the shapes are in question, not the computation of a ReLU.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnn2vec._errors import UsageError
from rnn2vec.rnn.parts import Converted
from rnn2vec.rnn.reading.onnx_graph import Graph
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.rnn.verify import TOLERANCE, answers, distance

_FREE_SIZES = ((2, 3), (2, 40), (40, 2))  # of an input's first two axes, where the graph leaves them open
_LARGEST_SIZE = 64


def require_same_answers(
    graph: Graph, nodes: Sequence[Any], outputs: Sequence[str], converted: Converted, *, is_tokens: bool
) -> None:
    """Run nodes by onnx's reference implementation, and the RNN that was read.

    Args:
        graph: the graph.
        nodes: its nodes that carry the data, in order.
        outputs: their outputs; the answers lie beside each other.
        converted: the RNN.
        is_tokens: whether inputs are token numbers.

    Raises:
        UsageError: if they differ, or the graph's nodes cannot be run on one input.
    """
    made = {name for node in nodes for name in node.output}
    fed = [name for node in nodes for name in node.input if name in graph.inputs and name not in made]
    has_nodes = any(node.op_type == "RNN" for node in nodes)
    generator = np.random.default_rng(0)
    shapes = {_input_shape(graph, fed[0], converted.spec.input_size, free, is_tokens=is_tokens) for free in _FREE_SIZES}
    for shape in sorted(shapes):
        if is_tokens:
            inputs = generator.integers(0, converted.spec.input_size, size=shape)
            vectors = np.eye(converted.spec.input_size, dtype=np.float32)[inputs]
        else:
            inputs = vectors = generator.normal(size=shape).astype(np.float32)
        answer = np.concatenate(_run(graph, nodes, outputs, fed[0], inputs), axis=-1)
        rows, columns = _expected(converted, torch.from_numpy(vectors), has_nodes=has_nodes)
        if distance(torch.from_numpy(answer), rows, columns) > TOLERANCE:
            raise UsageError(
                "the graph's answers differ from those of its recurrent nodes and readout",
                remedy="give a graph that does nothing else with them (a transposition of features, say).",
            )


def _input_shape(graph: Graph, fed: str, features: int, free: tuple[int, int], *, is_tokens: bool) -> tuple[int, ...]:
    """Return the shape that the graph asks for, small numbers where it leaves it open."""
    axes = graph.inputs[fed].type.tensor_type.shape.dim
    sizes = [axis.dim_value or size for axis, size in zip(axes, (*free, features), strict=False)]
    if len(sizes) != (2 if is_tokens else 3) or max(sizes[:2]) > _LARGEST_SIZE:
        raise UsageError(
            f"an input of shape {tuple(sizes)}",
            remedy="export the graph with sequences (B, T, features) or tokens (B, T), of at most 64 each.",
        )
    return tuple(sizes)


def _run(graph: Graph, path: Sequence[Any], outputs: Sequence[str], fed: str, inputs: np.ndarray) -> list[np.ndarray]:
    """Run the graph of these nodes alone, without initial states (they are zeros), on one input."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    nodes: list[Any] = []
    constants: dict[str, Any] = {}
    for node in path:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        if node.op_type in {"LSTM", "GRU", "RNN"}:
            del copy.input[4:]
        if node.op_type == "RNN":
            copy.ClearField("attribute")
            kept = {name: value for name, value in graph.attributes(node).items() if name != "activations"}
            copy.attribute.extend(onnx.helper.make_attribute(name, value) for name, value in kept.items())
        for name in copy.input:
            array = graph.constant(name)
            if array is not None:
                constants[name] = onnx.numpy_helper.from_array(array, name)
        if node.op_type != "Constant":
            nodes.append(copy)
    given = onnx.helper.make_tensor_value_info(fed, onnx.TensorProto.FLOAT, None)
    made = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in outputs]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(nodes, "path", [given], made, list(constants.values())),
        opset_imports=graph.model.opset_import,
    )
    try:
        return [np.asarray(one) for one in ReferenceEvaluator(model).run(None, {fed: inputs})]
    except Exception as error:
        raise UsageError(
            f"the graph's nodes cannot be run on inputs of shape {inputs.shape}: {error}",
            remedy="export the graph with constant shapes, or give a PyTorch or safetensors file.",
        ) from error


def _expected(converted: Converted, vectors: Tensor, *, has_nodes: bool) -> tuple[Tensor, Tensor]:
    """Return the answers of the RNN if rows of the inputs are sequences, and if columns are."""
    spec, weights = converted.spec, converted.weights
    if spec.cell == "rnn_relu" and has_nodes:
        spec = dataclasses.replace(spec, cell="rnn_tanh")
    stack = RNNStack(spec, {name: weight.float().unsqueeze(0) for name, weight in weights.items()})
    (rows,), (columns,) = answers(stack, vectors)
    return rows, columns
