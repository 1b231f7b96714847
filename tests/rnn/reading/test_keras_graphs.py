"""Keras models whose connections matter are read as Keras runs them, or refused with the place.

`fixtures/make_keras_graphs.py` made the models, and recorded the outputs that Keras gave.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from rnn2vec._errors import UsageError
from rnn2vec.rnn.parts import AssumedWarning
from rnn2vec.rnn.reading.files import load_rnn
from rnn2vec.rnn.stack import RNNStack

pytest.importorskip("h5py")
ARCHIVE = Path(__file__).parents[1] / "fixtures" / "keras_graphs.zip"

READ = {
    "chain": "gru 2x5, 3 inputs, 2 outputs",
    "dense_between": "gru 2x5, 3 inputs, 2 outputs",
    "dense_in_front": "gru 1x5, 3 inputs, 2 outputs",
    "rescaled": "gru 1x5, 3 inputs, 2 outputs",
    "last_step": "gru 1x5, 3 inputs, 2 outputs",
    "two_heads": "gru 1x5, 3 inputs, 3 outputs",
    "linear_head": "gru 1x5, 3 inputs, 2 outputs",
    "sigmoid": "gru 1x5, 3 inputs, 2 outputs",
    "state_unused": "gru 1x5, 3 inputs, 2 outputs",
    "wrapped": "gru 1x5, 3 inputs, 2 outputs",
    "nested": "gru 2x5, 3 inputs, 2 outputs",
    "tokens": "gru 1x5, 7 inputs, 7 outputs",
    "softmax_layer": "gru 1x5, 3 inputs, 3 outputs",
    "no_bias": "gru 1x5, 3 inputs, 2 outputs",
}
REFUSED = {
    "activation_between": "Dense 'dense_.*' with activation='relu'",
    "activation_in_front": "Activation 'activation.*' with activation='tanh'",
    "backwards": "GRU 'gru_.*' with go_backwards=True",
    "two_rnns": "2 outputs of different recurrent layers: Dense 'dense_.*', Dense",
    "branches": "Concatenate 'concatenate' is called with 2 inputs",
    "residual": "Add 'add' is called with 2 inputs",
    "mlp_head": "Dense 'dense_.*' with activation='relu' stands between the recurrent layers and the outputs",
    "monte_carlo": "Dropout 'dropout' is called with training",
    "seq2seq": "GRU 'gru_.*' is called with initial_state",
    "unused_layer": "an output without a recurrent layer",
    "repeated": "RepeatVector 'repeat_vector', a layer of kind RepeatVector",
    "shared_embedding": "Add 'add_1' is called with 2 inputs",
    "bidirectional": "a layer of kind Bidirectional",
    "masked": "a layer of kind Masking",
    "normalized_between": "a layer of kind LayerNormalization",
    "subclassed": "a model of class Subclassed, which is connected by its own code",
}


@pytest.fixture
def take(tmp_path: Path) -> Callable[[str], Path]:
    """`take("chain.keras")`: the file, alone in a folder."""

    def one(name: str) -> Path:
        path = tmp_path / name
        with zipfile.ZipFile(ARCHIVE) as archive:
            path.write_bytes(archive.read(name))
        return path

    return one


def _samples(name: str) -> tuple[np.ndarray, np.ndarray]:
    with zipfile.ZipFile(ARCHIVE) as archive, np.load(io.BytesIO(archive.read(f"{name}.npz"))) as arrays:
        return arrays["inputs"], arrays["outputs"]


def _difference(stack: RNNStack, name: str) -> float:
    """Return the largest difference to Keras's outputs, of every step or the last."""
    inputs, outputs = map(torch.from_numpy, _samples(name))
    vectors = torch.nn.functional.one_hot(inputs, stack.spec.input_size).float() if inputs.dim() == 2 else inputs
    answers: Tensor = stack(vectors[None])[0][0]
    answers = answers.softmax(-1) if name in {"tokens", "softmax_layer"} else answers
    answers = answers.sigmoid() if name == "sigmoid" else answers
    return float((answers[:, -outputs.shape[1] :] - outputs).abs().max())


def test_every_model_of_the_archive_has_its_test() -> None:
    with zipfile.ZipFile(ARCHIVE) as archive:
        names = {name.removesuffix(".keras") for name in archive.namelist() if name.endswith(".keras")}
    assert names == {*READ, *REFUSED, "stateful", "square"}


@pytest.mark.parametrize("name", READ)
def test_a_graph_answers_as_in_keras(take: Callable[[str], Path], name: str) -> None:
    stack = load_rnn(take(f"{name}.keras"))
    assert str(stack.spec) == READ[name]
    assert not stack.assumed
    assert _difference(stack, name) < 1e-5


def test_a_stateful_layer_begins_with_zeros_and_that_is_said(take: Callable[[str], Path]) -> None:
    with pytest.warns(AssumedWarning, match=r"stateful\.keras: GRU 'gru_.*' is stateful, and begins with a state of z"):
        stack = load_rnn(take("stateful.keras"))
    assert _difference(stack, "stateful") < 1e-5


@pytest.mark.parametrize("name", REFUSED)
def test_another_function_is_refused_with_the_place(take: Callable[[str], Path], name: str) -> None:
    with pytest.raises(UsageError, match=rf"{name}\.keras: .*{REFUSED[name]}"):
        load_rnn(take(f"{name}.keras"))


def test_a_legacy_file_is_refused_with_the_two_lines_that_help(take: Callable[[str], Path]) -> None:
    with pytest.raises(UsageError, match=r"legacy\.h5: a file of Keras 2 .*\n.*it:\n *model = .*\n *model\.save"):
        load_rnn(take("legacy.h5"))


# -- weights alone ---------------------------------------------------------------------------------

ORDERS = {"subclassed": ("layers/gru", "a_runs_second"), "square": ("layers/gru_2", "a_runs_second")}


def test_names_that_sort_in_another_order_than_they_run_are_refused(take: Callable[[str], Path]) -> None:
    for name in ORDERS:
        with pytest.raises(
            UsageError, match=r"2 recurrent modules \(a_runs_second/cell, layers/gru.*/cell\), and noth"
        ):
            load_rnn(take(f"{name}.weights.h5"))


@pytest.mark.parametrize("name", ORDERS)
def test_the_caller_or_samples_say_the_order(take: Callable[[str], Path], name: str) -> None:
    path = take(f"{name}.weights.h5")
    for hints in ({"layers": ORDERS[name]}, {"check": _samples(name)}):
        stack = load_rnn(path, **hints)
        assert not stack.assumed
        assert _difference(stack, name) < 1e-5


def test_samples_of_another_function_are_refused(take: Callable[[str], Path]) -> None:
    inputs, outputs = _samples("square")
    with pytest.raises(UsageError, match=r"none of \d ways to read it reproduces the outputs of check \(.* apart\)"):
        load_rnn(take("square.weights.h5"), check=(inputs, outputs + 0.01))
    with pytest.raises(UsageError, match=r"none of \d ways .* \(of other shapes\)"):
        load_rnn(take("square.weights.h5"), check=(inputs[..., :2], outputs))
