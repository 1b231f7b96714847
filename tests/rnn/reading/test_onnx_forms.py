"""ONNX files as today's exporter writes them are read as onnxruntime runs them, or refused with the place.

`fixtures/make_onnx_forms.py` exported the modules with the defaults of `torch.onnx.export` (weights beside the graph),
and recorded the outputs that onnxruntime gave.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rnn2vec._errors import DataError, UsageError
from rnn2vec.rnn.reading.files import load_rnn

onnx = pytest.importorskip("onnx")
ARCHIVE = Path(__file__).parents[1] / "fixtures" / "onnx_forms.zip"

READ = {
    "lstm": "lstm 1x5, 3 inputs, 2 outputs",
    "gru_dynamic": "gru 1x5, 3 inputs, 2 outputs",
    "tanh": "rnn_tanh 1x5, 3 inputs, 2 outputs",
    "tanh_two_layers": "rnn_tanh 2x5, 3 inputs, 2 outputs",
    "tanh_no_bias": "rnn_tanh 1x5, 3 inputs, 2 outputs",
    "tanh_last_step": "rnn_tanh 1x5, 3 inputs, 2 outputs",
    "last_step": "gru 1x5, 3 inputs, 2 outputs",
    "last_state": "gru 1x5, 3 inputs, 2 outputs",
    "linear_in_front": "gru 1x5, 3 inputs, 2 outputs",
    "scaled": "gru 1x5, 3 inputs, 2 outputs",
    "two_modules": "gru 2x5, 3 inputs, 2 outputs",
    "linear_between": "gru 2x5, 3 inputs, 2 outputs",
    "two_heads": "gru 1x5, 3 inputs, 3 outputs",
    "state_too": "gru 1x5, 3 inputs, 2 outputs",
    "sigmoid": "gru 1x5, 3 inputs, 2 outputs",
}
REFUSED = {
    "window": "Slice below the recurrent nodes, a window of the input",
    "backwards": "Slice below the recurrent nodes",
    "clipped": "Clip .* below the recurrent nodes is not read",
    "relu_head": "Relu .* above the recurrent nodes is not read",
    "tanh_between": "Tanh .* below the recurrent nodes is not read",
    "residual": "Add .* above the recurrent nodes is not read",
    "branches": "Mul .* above the recurrent nodes is not read",
    "seq2seq": "GRU with an initial state .* that is not zeros",
    "two_rnns": "2 outputs of different recurrent nodes",
    "bidirectional": "GRU with direction=bidirectional",
    "tanh_residual": "values that depend on 2 others through no matrix",
}


@pytest.fixture
def take(tmp_path: Path) -> Callable[[str], Path]:
    """`take("lstm")`: the graph of that name, with its weights beside it."""

    def one(name: str) -> Path:
        with zipfile.ZipFile(ARCHIVE) as archive:
            archive.extractall(tmp_path, [file for file in archive.namelist() if file.startswith(f"{name}/")])
        return tmp_path / name / "model.onnx"

    return one


def test_every_form_of_the_archive_has_its_test() -> None:
    with zipfile.ZipFile(ARCHIVE) as archive:
        assert {name.partition("/")[0] for name in archive.namelist()} == {*READ, *REFUSED}


@pytest.mark.parametrize("name", READ)
def test_a_form_answers_as_in_onnxruntime(take: Callable[[str], Path], name: str) -> None:
    path = take(name)
    stack = load_rnn(path)
    assert str(stack.spec) == READ[name]
    assert not stack.assumed
    with np.load(path.with_name("samples.npz")) as arrays:
        inputs = torch.from_numpy(arrays["inputs"])
        outputs = [torch.from_numpy(arrays[key]) for key in sorted(arrays) if key.startswith("output")]
    expected = torch.cat([one for one in outputs if one.shape[-1] < 5], dim=-1)  # 5 is the size of a state
    answers = stack(inputs[None])[0][0]
    answers = answers.sigmoid() if name == "sigmoid" else answers
    answers = answers[:, -1] if expected.dim() == 2 else answers
    torch.testing.assert_close(answers, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", REFUSED)
def test_another_function_is_refused_with_the_place(take: Callable[[str], Path], name: str) -> None:
    with pytest.raises(UsageError, match=rf"model\.onnx: {REFUSED[name]}(.|\n)*->"):
        load_rnn(take(name))


# -- weights beside the graph ----------------------------------------------------------------------


def _pointing(path: Path, **entries: Any) -> Path:
    """Change where the first tensor outside the graph lies."""
    model = onnx.load(path, load_external_data=False)
    tensor = next(one for one in model.graph.initializer if one.external_data)
    for one in tensor.external_data:
        one.value = str(entries.get(one.key, one.value))
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "sub/x", "..", "", "a\\b"])
def test_no_path_leads_out_of_the_folder(take: Callable[[str], Path], location: str) -> None:
    path = take("lstm")
    (path.parents[1] / "secret").write_bytes(bytes(4096))
    with pytest.raises(DataError, match=r"lies in '.*'; only files beside the graph's are read, and no links"):
        load_rnn(_pointing(path, location=location))


def test_links_are_not_followed(take: Callable[[str], Path]) -> None:
    path = take("lstm")
    (path.parent / "link").symlink_to(path.parent / "model.onnx.data")
    with pytest.raises(DataError, match="and no links"):
        load_rnn(_pointing(path, location="link"))


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"location": "gone.data"}, "which is not there; keep both files in one folder"),
        ({"offset": 10**9}, "at 1,000,000,000 of"),
        ({"offset": -4}, "at -4 of"),
        ({"length": 4}, "claims 4 bytes"),
        ({"offset": "x"}, "which are no numbers"),
    ],
)
def test_weights_that_are_not_there_are_damage(take: Callable[[str], Path], entries: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        load_rnn(_pointing(take("lstm"), **entries))
