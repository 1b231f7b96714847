"""ONNX graphs give the answers that onnxruntime gave when they were made (`fixtures/make_onnx.py`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rnn2vec._errors import UsageError
from rnn2vec.rnn.reading.files import format_of, load_rnn
from rnn2vec.rnn.stack import RNNStack

onnx = pytest.importorskip("onnx")
FIXTURES = Path(__file__).parents[1] / "fixtures"
READ = {
    "lstm_torchscript": "lstm 2x5, 3 inputs, 2 outputs",
    "lstm_dynamo": "lstm 2x5, 3 inputs, 2 outputs",
    "gru_torchscript": "gru 2x5, 3 inputs, 2 outputs",
    "gru_dynamo": "gru 2x5, 3 inputs, 2 outputs",
    "rnn_torchscript": "rnn_relu 1x5, 3 inputs, 2 outputs",
    "rnn_dynamo": "rnn_relu 1x5, 3 inputs, 2 outputs",
    "tokens_torchscript": "lstm 1x5, 7 inputs, 2 outputs",
    "tokens_dynamo": "lstm 1x5, 7 inputs, 2 outputs",
}


@pytest.mark.parametrize("name", READ)
def test_a_graph_answers_as_in_onnxruntime(name: str) -> None:
    path = FIXTURES / f"onnx_{name}.onnx"
    stack = load_rnn(path)
    assert format_of(path) == "onnx"
    assert str(stack.spec) == READ[name]
    with np.load(path.with_suffix(".npz")) as arrays:
        inputs, outputs = torch.from_numpy(arrays["inputs"]), torch.from_numpy(arrays["outputs"])
    if inputs.dim() == 2:
        inputs = torch.nn.functional.one_hot(inputs, 7).float()
    if name.startswith("gru"):  # made with time as the first axis
        inputs, outputs = inputs.transpose(0, 1), outputs.transpose(0, 1)
    torch.testing.assert_close(stack(inputs[None])[0][0], outputs, rtol=0, atol=1e-6)


def test_hints_are_refused() -> None:
    with pytest.raises(UsageError, match="hints for an ONNX file"):
        load_rnn(FIXTURES / "onnx_lstm_dynamo.onnx", ignore=("x",))


# -- graphs by hand --------------------------------------------------------------------------------

Arrays = dict[str, np.ndarray]
Nodes = list[Any]


def _node(kind: str, inputs: Sequence[str], output: str, **options: Any) -> Any:
    return onnx.helper.make_node(kind, list(inputs), [output], **options)


def _gru(**options: Any) -> Nodes:
    """A GRU and its readout, time first."""
    options = {"hidden_size": 5, "linear_before_reset": 1} | options
    return [
        _node("GRU", ["x", "w", "r", "b"], "h", **options),
        _node("Squeeze", ["h", "one"], "s"),
        _node("MatMul", ["s", "out"], "y"),
    ]


def _arrays() -> Arrays:
    generator = np.random.default_rng(1)
    shapes = {"w": (1, 15, 3), "r": (1, 15, 5), "b": (1, 30), "out": (5, 2)}
    arrays = {name: generator.uniform(-0.6, 0.6, shape).astype(np.float32) for name, shape in shapes.items()}
    return arrays | {"one": np.array([1])}


@pytest.fixture
def graph(tmp_path: Path) -> Callable[..., Path]:
    """`graph(nodes, arrays)`: a file with a graph from `x (T, B, 3)` to `y`."""

    def write(nodes: Nodes, arrays: Arrays, shape: Sequence[Any] = ("T", "B", 3), more: Sequence[str] = ()) -> Path:
        given = [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)]
        given += [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in more]
        made = [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)]
        tensors = [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]
        model = onnx.helper.make_model(
            onnx.helper.make_graph(nodes, "g", given, made, tensors), opset_imports=[onnx.helper.make_opsetid("", 20)]
        )
        path = tmp_path / "graph.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    return write


def _reference(path: Path, inputs: np.ndarray) -> torch.Tensor:
    from onnx.reference import ReferenceEvaluator

    return torch.from_numpy(np.asarray(ReferenceEvaluator(str(path)).run(None, {"x": inputs})[0]))


def _same(path: Path) -> RNNStack:
    """The stack in a file, which answers as the reference implementation does on sequences in columns."""
    stack, inputs = load_rnn(path), np.random.default_rng(2).normal(size=(6, 2, 3)).astype(np.float32)
    answer = stack(torch.from_numpy(inputs).transpose(0, 1)[None])[0][0].transpose(0, 1)
    torch.testing.assert_close(answer, _reference(path, inputs), rtol=0, atol=1e-5)
    return stack


def test_a_graph_by_hand(graph: Callable[..., Path]) -> None:
    assert str(_same(graph(_gru(), _arrays())).spec) == "gru 1x5, 3 inputs, 2 outputs"


def test_scalings_are_folded_in(graph: Callable[..., Path]) -> None:
    arrays = _arrays() | {"mean": np.float32([1, -2, 3]), "std": np.float32([2, 4, 0.5]), "gain": np.float32(1.5)}
    nodes = [
        _node("Sub", ["x", "mean"], "x1"),
        _node("Div", ["x1", "std"], "x2"),
        _node("Mul", ["gain", "x2"], "x3"),
        _node("Add", ["x3", "mean"], "x4"),
        *_gru(),
    ]
    nodes[4].input[0] = "x4"
    _same(graph(nodes, arrays))


@pytest.mark.parametrize("transposed", [False, True])
def test_a_gemm_is_a_readout(graph: Callable[..., Path], transposed: bool) -> None:
    arrays = _arrays() | {"shape": np.array([-1, 5]), "bias": np.float32([1, 2])}
    arrays["out"] = arrays["out"].T if transposed else arrays["out"]
    nodes = [
        *_gru()[:2],
        _node("Reshape", ["s", "shape"], "flat"),
        _node("Gemm", ["flat", "out", "bias"], "y", transB=int(transposed)),
    ]
    stack = load_rnn(graph(nodes, arrays))
    assert stack.weights["readout.bias"].tolist() == [[1, 2]]


@pytest.mark.parametrize("kind", ["Softmax", "LogSoftmax"])
def test_logits_are_read_below_a_softmax(graph: Callable[..., Path], kind: str) -> None:
    nodes = [*_gru(), _node(kind, ["z"], "y", axis=-1)]
    nodes[2].output[0] = "z"
    plain = load_rnn(graph(_gru(), _arrays())).flatten()
    assert torch.equal(load_rnn(graph(nodes, _arrays())).flatten(), plain)


def test_the_last_step_alone_may_be_read_out(graph: Callable[..., Path]) -> None:
    nodes = [*_gru()[:2], _node("Gather", ["s", "last"], "end", axis=0), _node("MatMul", ["end", "out"], "y")]
    stack = load_rnn(graph(nodes, _arrays() | {"last": np.array(-1)}))
    assert torch.equal(stack.flatten(), load_rnn(graph(_gru(), _arrays())).flatten())


def test_states_that_are_given_or_zeros_are_fine(graph: Callable[..., Path]) -> None:
    for start, more, made in (("h0", ["h0"], []), ("z", [], [_node("ConstantOfShape", ["sizes"], "z")])):
        nodes = [*made, *_gru()]
        nodes[len(made)].input.extend(["", start])
        load_rnn(graph(nodes, _arrays() | {"sizes": np.array([1, 10**6, 10**9])}, more=more))


REFUSED: dict[str, tuple[Callable[[Nodes, Arrays], Any], str]] = {
    "reset before": (
        lambda nodes, _: nodes[0].attribute.pop(),
        "GRU with linear_before_reset=0, which is another cell",
    ),
    "both directions": (
        lambda nodes, _: nodes[0].attribute.append(onnx.helper.make_attribute("direction", "bidirectional")),
        "GRU with direction=bidirectional",
    ),
    "clip": (
        lambda nodes, _: nodes[0].attribute.append(onnx.helper.make_attribute("clip", 1.0)),
        "GRU with clip or input_forget",
    ),
    "activations": (
        lambda nodes, _: nodes[0].attribute.append(onnx.helper.make_attribute("activations", ["HardSigmoid", "Tanh"])),
        "GRU with activations HardSigmoid, Tanh",
    ),
    "lengths": (lambda nodes, _: nodes[0].input.extend(["one"]), "GRU with sequence lengths or peepholes"),
    "first state": (
        lambda nodes, arrays: (nodes[0].input.extend(["", "h0"]), arrays.update(h0=np.ones((1, 1, 5), np.float32))),
        "GRU with an initial state 'h0' that is not zeros",
    ),
    "no readout": (
        lambda nodes, _: (nodes.pop(), nodes[-1].output.__setitem__(0, "y")),
        "no recurrent node under a rea",
    ),
    "weights computed": (lambda _, arrays: arrays.pop("w"), "GRU whose weights are not constants"),
    "readout computed": (lambda _, arrays: arrays.pop("out"), "MatMul above the recurrent nodes is not read"),
    "nowhere": (lambda nodes, _: nodes[0].input.__setitem__(0, "n"), "depends on 'n', which is no input"),
    "square": (
        lambda nodes, _: (nodes.insert(0, _node("Mul", ["x", "x"], "xx")), nodes[1].input.__setitem__(0, "xx")),
        "Mul below the recurrent nodes is not read",
    ),
    "relu below": (
        lambda nodes, _: (nodes.insert(0, _node("Relu", ["x"], "xx")), nodes[1].input.__setitem__(0, "xx")),
        "Relu below the recurrent nodes is not read",
    ),
    "tanh above": (
        lambda nodes, _: (nodes.insert(2, _node("Tanh", ["s"], "t")), nodes[3].input.__setitem__(0, "t")),
        "Tanh above the recurrent nodes is not read",
    ),
    "cycle": (lambda nodes, _: nodes[0].input.__setitem__(0, "h"), "depends on 'h', which is no input"),
    "only moved differently": (
        lambda nodes, arrays: (
            nodes.insert(0, _node("Reshape", ["x", "sizes"], "xx")),
            nodes.insert(1, _node("Transpose", ["xx"], "xt", perm=[0, 2, 1])),
            nodes[2].input.__setitem__(0, "xt"),
            arrays.update(sizes=np.array([2, 3, 3])),
        ),
        "the graph's answers differ",
    ),
    "cannot run": (
        lambda nodes, _: nodes.__setitem__(1, _node("Transpose", ["h"], "s", perm=[0, 1, 2, 3, 4])),
        "the graph's nodes cannot be run on inputs of shape",
    ),
}


@pytest.mark.parametrize(("change", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_another_function_is_refused(
    graph: Callable[..., Path], change: Callable[[Nodes, Arrays], Any], words: str
) -> None:
    nodes, arrays = _gru(), _arrays()
    change(nodes, arrays)
    with pytest.raises(UsageError, match=words) as caught:
        load_rnn(graph(nodes, arrays, ("T", 3, 3) if "differ" in words else ("T", "B", 3)))
    assert "graph.onnx" in caught.value.problem


def test_a_graph_for_huge_inputs_is_not_run(graph: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match=r"an input of shape \(2, 1000000000, 3\)"):
        load_rnn(graph(_gru(), _arrays(), ("T", 10**9, 3)))
