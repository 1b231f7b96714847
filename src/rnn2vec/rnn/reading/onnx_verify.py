"""What was read of an ONNX graph, held to what the graph computes.

`onnx.reference` knows no ReLU RNN, so such nodes are compared as tanh RNNs of the same weights on both sides: what is
in question is the path, the order of gates and the shapes, and not how a ReLU is computed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnn2vec._errors import UsageError
from rnn2vec.rnn.parts import Converted
from rnn2vec.rnn.reading.onnx_graph import Graph
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.rnn.verify import TOLERANCE, answers, distance

_FREE_SIZES = (2, 3)  # of an input's first two axes, where the graph leaves them open
_LARGEST_SIZE = 64


@dataclass(frozen=True, kw_only=True)
class DataPath:
    """The nodes that carry the data."""

    nodes: Sequence[Any]
    """In order."""
    fed: str
    """The input that the first of them gets."""
    is_tokens: bool
    """Whether it is token numbers."""


def require_same_answers(graph: Graph, path: DataPath, converted: Converted) -> None:
    """Run the nodes from input to output by onnx's reference implementation, and the RNN that was read.

    Args:
        graph: the graph.
        path: its nodes that carry the data.
        converted: what was read.

    Raises:
        UsageError: they differ, or the graph's nodes cannot be run on one input.
    """
    spec = converted[0]
    shape = _input_shape(graph, path, spec.input_size)
    generator = np.random.default_rng(0)
    if path.is_tokens:
        inputs = generator.integers(0, spec.input_size, size=shape)
        vectors = np.eye(spec.input_size, dtype=np.float32)[inputs]
    else:
        inputs = vectors = generator.normal(size=shape).astype(np.float32)
    answer = _run(graph, path, inputs)
    rows, columns = _expected(converted, torch.from_numpy(vectors))
    if distance(torch.from_numpy(answer), rows, columns) > TOLERANCE:
        raise UsageError(
            "the graph's answers differ from those of its recurrent nodes and readout",
            remedy="give a graph that does nothing else with them (a transposition of features, say).",
        )


def _input_shape(graph: Graph, path: DataPath, features: int) -> tuple[int, ...]:
    """The shape that the graph asks for, small numbers where it leaves it open."""
    axes = graph.inputs[path.fed].type.tensor_type.shape.dim
    sizes = [axis.dim_value or free for axis, free in zip(axes, (*_FREE_SIZES, features), strict=False)]
    if len(sizes) != (2 if path.is_tokens else 3) or max(sizes[:2]) > _LARGEST_SIZE:
        raise UsageError(
            f"an input of shape {tuple(sizes)}",
            remedy="export the graph with sequences (B, T, features) or tokens (B, T), of at most 64 each.",
        )
    return tuple(sizes)


def _run(graph: Graph, path: DataPath, inputs: np.ndarray) -> np.ndarray:
    """The graph of these nodes alone, without initial states (they are zeros), run on one input."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    nodes: list[Any] = []
    constants: dict[str, Any] = {}
    for node in path.nodes:
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
        nodes.append(copy)
    given = onnx.helper.make_tensor_value_info(path.fed, onnx.TensorProto.FLOAT, None)
    made = onnx.helper.make_tensor_value_info(graph.first_output, onnx.TensorProto.FLOAT, None)
    model = onnx.helper.make_model(
        onnx.helper.make_graph(nodes, "path", [given], [made], list(constants.values())),
        opset_imports=graph.model.opset_import,
    )
    try:
        (answer,) = ReferenceEvaluator(model).run(None, {path.fed: inputs})
    except Exception as error:
        raise UsageError(
            f"the graph's nodes cannot be run on inputs of shape {inputs.shape}: {error}",
            remedy="export the graph with constant shapes, or give a PyTorch or safetensors file.",
        ) from error
    return np.asarray(answer)


def _expected(converted: Converted, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """What the RNN answers if rows of the inputs are sequences, and if columns are."""
    spec, weights = converted
    spec = dataclasses.replace(spec, cell="rnn_tanh") if spec.cell == "rnn_relu" else spec
    stack = RNNStack(spec, {name: weight.float().unsqueeze(0) for name, weight in weights.items()})
    (rows,), (columns,) = answers(stack, vectors)
    return rows, columns
