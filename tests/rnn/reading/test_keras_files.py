"""Keras 3 files give the answers that Keras gave when they were made (`fixtures/make_keras.py`)."""

from __future__ import annotations

import contextlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rnn2vec._errors import DataError, UsageError
from rnn2vec.rnn.parts import AssumedWarning
from rnn2vec.rnn.reading.files import format_of, load_rnn
from rnn2vec.rnn.spec import CellName, RNNSpec
from rnn2vec.rnn.stack import RNNStack

h5py = pytest.importorskip("h5py")
FIXTURES = Path(__file__).parents[1] / "fixtures"


def _archive(name: str) -> Path:
    return FIXTURES / f"keras_{name}.keras"


@pytest.fixture
def weights_of(tmp_path: Path) -> Callable[[str], Path]:
    """The weights alone, as `model.save_weights` writes them."""

    def take(name: str) -> Path:
        path = tmp_path / f"{name}.weights.h5"
        with zipfile.ZipFile(_archive(name)) as archive:
            path.write_bytes(archive.read("model.weights.h5"))
        return path

    return take


def _answers(name: str) -> tuple[Tensor, Tensor]:
    with np.load(FIXTURES / f"keras_{name}.npz") as arrays:
        inputs, outputs = torch.from_numpy(arrays["inputs"]), torch.from_numpy(arrays["outputs"])
    return (torch.nn.functional.one_hot(inputs, 7).float() if inputs.dim() == 2 else inputs), outputs


def _check(stack: RNNStack, name: str) -> None:
    inputs, outputs = _answers(name)
    torch.testing.assert_close(stack(inputs[None])[0][0], outputs, rtol=0, atol=1e-6)


SPECS: dict[str, tuple[CellName, int, int]] = {
    "lstm": ("lstm", 3, 2),
    "gru": ("gru", 3, 2),
    "rnn": ("rnn_relu", 3, 1),
    "embedded": ("lstm", 7, 1),
    "normalized": ("gru", 3, 1),
    "adapted": ("gru", 3, 1),
}


@pytest.mark.parametrize("name", SPECS)
def test_a_model_answers_as_in_keras(name: str) -> None:
    cell, input_size, num_layers = SPECS[name]
    stack = load_rnn(_archive(name))
    assert format_of(_archive(name)) == "keras"
    assert stack.spec == RNNSpec(cell=cell, input_size=input_size, hidden_size=5, num_layers=num_layers, output_size=2)
    _check(stack, name)


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn", "embedded", "adapted"])
def test_weights_alone_answer_as_in_keras(weights_of: Callable[[str], Path], name: str) -> None:
    path = weights_of(name)
    assert format_of(path) == "hdf5"
    several = name in {"lstm", "gru"}
    with pytest.warns(AssumedWarning, match="two layers, the first below") if several else contextlib.nullcontext():
        stack = load_rnn(path, cell="rnn_relu" if name == "rnn" else None)
    _check(stack, name)
    assert len(stack.assumed) == several


def test_weights_of_one_gate_need_the_cell(weights_of: Callable[[str], Path]) -> None:
    with pytest.raises(UsageError, match=r"rnn\.weights\.h5: the shapes fit rnn_tanh and rnn_relu alike"):
        load_rnn(weights_of("rnn"))


def test_a_gru_that_resets_before_is_refused(weights_of: Callable[[str], Path]) -> None:
    with pytest.raises(
        UsageError, match=r"reset_before\.keras: GRU 'gru_2' with reset_after=False\n.*only reset_after=True"
    ):
        load_rnn(_archive("gru_reset_before"))
    with pytest.raises(UsageError, match=r"a GRU with reset_after=False, which is another cell(.|\n)*black box"):
        load_rnn(weights_of("gru_reset_before"))


def test_an_activation_that_pytorch_does_not_have_is_refused() -> None:
    with pytest.raises(UsageError, match="LSTM 'lstm_2' with recurrent_activation='hard_sigmoid'"):
        load_rnn(_archive("hard_lstm"))


# -- descriptions ----------------------------------------------------------------------------------


def _described(tmp_path: Path, name: str, change: Callable[[list[Any]], Any]) -> Path:
    """A fixture with another description of its layers."""
    path = tmp_path / "changed.keras"
    with zipfile.ZipFile(_archive(name)) as old, zipfile.ZipFile(path, "w") as new:
        description = json.loads(old.read("config.json"))
        change(description["config"]["layers"])
        new.writestr("config.json", json.dumps(description))
        new.writestr("model.weights.h5", old.read("model.weights.h5"))
    return path


def _set(place: int, option: str, value: Any) -> Callable[[list[Any]], Any]:
    return lambda layers: layers[place]["config"].__setitem__(option, value)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("lstm", lambda layers: layers[1].__setitem__("class_name", "Conv1D"), "a layer of kind Conv1D"),
        ("lstm", lambda layers: layers[1].__setitem__("class_name", "Bidirectional"), "of kind Bidirectional"),
        ("lstm", lambda layers: layers.insert(0, {"class_name": "Masking", "config": {}}), "a layer of kind Masking"),
        ("lstm", lambda layers: layers.insert(0, "x"), "a description that is not one of layers"),
        ("lstm", _set(1, "go_backwards", True), "LSTM 'lstm' with go_backwards=True"),
        ("lstm", _set(-1, "activation", "relu"), "Dense 'dense' with activation='relu' stands between"),
        ("embedded", _set(1, "mask_zero", True), "Embedding 'embedding' with mask_zero=True"),
        ("normalized", _set(1, "invert", True), "Normalization 'normalization' with invert=True"),
        ("normalized", _set(1, "mean", ["x"]), "Normalization 'normalization' without numbers"),
        ("lstm", lambda layers: layers[1].update(layers[1], class_name="SimpleRNN"), "layers of several cells"),
    ],
)
def test_what_is_not_the_same_function_is_refused(
    tmp_path: Path, name: str, change: Callable[[list[Any]], Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        load_rnn(_described(tmp_path, name, change))
    assert caught.value.problem.startswith(str(tmp_path))


# -- weights ---------------------------------------------------------------------------------------


def _changed(path: Path, change: Callable[[Any], Any]) -> Path:
    with h5py.File(path, "r+") as file:
        change(file)
    return path


@pytest.mark.filterwarnings("ignore:assumed")
def test_optimizers_and_seeds_do_not_matter(weights_of: Callable[[str], Path]) -> None:
    def add(file: Any) -> None:
        file["optimizer/vars/0"] = np.zeros((3, 5), np.float32)
        file["layers/dropout/seed_generator/vars/0"] = np.zeros(2, np.uint32)

    _check(load_rnn(_changed(weights_of("lstm"), add)), "lstm")


@pytest.mark.filterwarnings("ignore:assumed")
def test_other_weights_are_named_or_ignored(weights_of: Callable[[str], Path]) -> None:
    path = _changed(weights_of("lstm"), lambda file: file.__setitem__("layers/conv/vars/0", np.zeros((3, 4, 2), "f4")))
    with pytest.raises(UsageError, match=r"beside the recurrent module .* layers/conv/vars/0 \(3, 4, 2\)"):
        load_rnn(path)
    _check(load_rnn(path, ignore=("layers/conv/*",)), "lstm")


def test_a_second_dense_layer_lies_beside_the_first(weights_of: Callable[[str], Path]) -> None:
    path = _changed(weights_of("lstm"), lambda file: file.__setitem__("layers/value/vars/0", np.zeros((5, 1), "f4")))
    with pytest.warns(AssumedWarning, match=r"outputs are those of layers/dense, layers/value beside each other"):
        assert load_rnn(path, layers=("lstm/cell", "lstm_1/cell")).spec.output_size == 3


def test_both_directions_are_refused(weights_of: Callable[[str], Path]) -> None:
    def rename(file: Any) -> None:
        file.move("layers/lstm/cell", "layers/bidirectional/forward_layer/cell")

    with pytest.raises(UsageError, match="a Bidirectional layer"):
        load_rnn(_changed(weights_of("lstm"), rename))


def test_no_recurrent_layers_are_refused(weights_of: Callable[[str], Path]) -> None:
    def remove(file: Any) -> None:
        del file["layers/lstm"], file["layers/lstm_1"]

    with pytest.raises(UsageError, match=r"0 recurrent modules .* among layers/dense\.weight \(2, 5\)"):
        load_rnn(_changed(weights_of("lstm"), remove))


def test_kernels_that_are_no_matrices_are_refused(weights_of: Callable[[str], Path]) -> None:
    def flatten(file: Any) -> None:
        del file["layers/lstm/cell/vars/1"]

    with pytest.raises(UsageError, match=r"a recurrent layer of arrays .*, expected two kernels and a bias"):
        load_rnn(_changed(weights_of("lstm"), flatten))


def test_an_input_scaling_can_be_named(weights_of: Callable[[str], Path]) -> None:
    def rename(file: Any) -> None:
        file["layers/mean/vars/0"] = file["layers/normalization/vars/0"][()]
        file["layers/std/vars/0"] = np.sqrt(file["layers/normalization/vars/1"][()])
        del file["layers/normalization"]

    path = _changed(weights_of("adapted"), rename)
    _check(load_rnn(path, input_scaling=("layers/mean/vars/0", "layers/std/vars/0")), "adapted")
    with pytest.raises(UsageError, match="0 tensors of the name 'a' for input_scaling among"):
        load_rnn(path, input_scaling=("a", "b"))


def test_an_archive_without_weights_is_damaged(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "empty.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(DataError, match=r"empty\.keras: cannot be read as a Keras file: .*model\.weights\.h5"):
        load_rnn(tmp_path / "empty.keras")
