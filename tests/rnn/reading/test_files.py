"""Checkpoints from elsewhere: read, or refused with the file's name, and never run."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from rnn2vec._errors import DataError, Rnn2VecError, UsageError
from rnn2vec.rnn.reading.files import load_rnn
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack

SPEC = RNNSpec(cell="lstm", input_size=3, hidden_size=4, num_layers=2, output_size=2)
MakeNets = Callable[..., list[nn.Module]]

pytestmark = pytest.mark.filterwarnings("ignore:Detected pickle protocol")  # torch's remark on some damaged files


@pytest.fixture
def state_dict(make_nets: MakeNets) -> dict[str, Tensor]:
    return make_nets(SPEC, 1, torch.float32)[0].state_dict()


def _save(content: Any, path: Path) -> Path:
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(content, path)
    else:
        torch.save(content, path, _use_new_zipfile_serialization=path.name != "old.pt")
    return path


# -- read ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rnn.safetensors", "rnn.pt", "rnn.pth", "old.pt", "no-suffix"])
def test_every_kind_of_file_gives_the_weights(tmp_path: Path, state_dict: dict[str, Tensor], name: str) -> None:
    expected = RNNStack.from_state_dicts([state_dict]).flatten()
    assert torch.equal(load_rnn(_save(state_dict, tmp_path / name)).flatten(), expected)


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_a_state_dict_may_lie_where_training_scripts_put_it(
    tmp_path: Path, state_dict: dict[str, Tensor], key: str
) -> None:
    path = _save({"epoch": 3, key: state_dict, "lr": [0.1]}, tmp_path / "checkpoint.pt")
    assert torch.equal(load_rnn(path).flatten(), RNNStack.from_state_dicts([state_dict]).flatten())


@pytest.mark.parametrize("name", ["rnn.safetensors", "rnn.pt"])
def test_the_rnn_does_what_the_module_did(
    tmp_path: Path, make_nets: MakeNets, draw: Callable[..., Tensor], name: str
) -> None:
    net, inputs = make_nets(SPEC, 1, torch.float32)[0], draw(2, 7, 3, dtype=torch.float32)
    stack = load_rnn(_save(net.state_dict(), tmp_path / name))

    assert stack.spec == SPEC
    torch.testing.assert_close(stack(inputs[None])[0][0], net(inputs)[0], rtol=0, atol=1e-6)


def test_the_caller_says_which_cell_it_is_where_shapes_do_not(tmp_path: Path, make_nets: MakeNets) -> None:
    spec = RNNSpec(cell="rnn_relu", input_size=3, hidden_size=4, num_layers=1, output_size=2)
    path = _save(make_nets(spec, 1)[0].state_dict(), tmp_path / "relu.pt")

    assert load_rnn(path, cell="rnn_relu").spec == spec
    with pytest.raises(UsageError, match=r"relu\.pt: the shapes fit rnn_tanh and rnn_relu alike\n.*say which"):
        load_rnn(path)


def test_tied_weights_are_plain_tensors(tmp_path: Path, state_dict: dict[str, Tensor]) -> None:
    state_dict["core.bias_hh_l0"] = state_dict["core.bias_ih_l0"]
    assert load_rnn(_save(state_dict, tmp_path / "tied.pt")).spec == SPEC


# -- refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["missing.pt", "."])
def test_a_path_that_is_no_file_is_the_callers_mistake(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"is not a file\n.*\.safetensors, \.pt, \.pth") as caught:
        load_rnn(tmp_path / name)
    assert str(tmp_path) in caught.value.problem


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ([torch.zeros(2)], "a list"),
        (3, "a int"),
        ({}, "a dict with no entries"),
        ({"epoch": 3, "net": {}}, "a dict with 'epoch', 'net'"),
        ({"state_dict": {"step": 3}}, "a dict with 'state_dict'"),
    ],
)
def test_a_file_without_a_state_dict_says_what_is_there(tmp_path: Path, content: Any, found: str) -> None:
    path = _save(content, tmp_path / "checkpoint.pt")
    with pytest.raises(UsageError, match=r"holds no state dict but a .*\n.*torch\.save\(module\.state_dict\(\)") as e:
        load_rnn(path)
    assert e.value.problem == f"{path}: holds no state dict but {found}"


def test_shapes_that_fit_no_cell_name_the_file(tmp_path: Path, state_dict: dict[str, Tensor]) -> None:
    state_dict["core.weight_hh_l0"] = torch.zeros(10, 4)
    path = _save(state_dict, tmp_path / "odd.safetensors")
    with pytest.raises(UsageError, match=r"odd\.safetensors: weight_hh_l0 has 10 rows and 4 columns, which fits no c"):
        load_rnn(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers_name_the_file(tmp_path: Path, state_dict: dict[str, Tensor], value: float) -> None:
    state_dict["core.bias_ih_l1"][3] = value
    path = _save(state_dict, tmp_path / "diverged.pt")
    with pytest.raises(DataError, match=r"diverged\.pt has NaN or infinite numbers in rnn\.bias_ih_l1\n.*earlier"):
        load_rnn(path)


def test_a_file_that_would_run_code_does_not(tmp_path: Path) -> None:
    class Malicious:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "it-ran"),)

    for path in (tmp_path / "zip.pt", tmp_path / "old.pt", tmp_path / "plain.pt"):
        if path.name == "plain.pt":
            path.write_bytes(pickle.dumps({"weight": Malicious()}))
        else:
            _save({"weight": Malicious()}, path)
        with pytest.raises(DataError, match=rf"{path.name}: cannot be read as a checkpoint(.|\n)*weights alone"):
            load_rnn(path)
    assert not (tmp_path / "it-ran").exists()


def test_a_whole_module_is_no_state_dict(tmp_path: Path) -> None:
    path = _save({"net": nn.Linear(2, 2)}, tmp_path / "module.pt")
    with pytest.raises(DataError, match=r"module\.pt: cannot be read(.|\n)*state_dict\(\)"):
        load_rnn(path)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(1).expand(4_000_000, 1_000_000),
        torch.eye(3).to_sparse(),
        torch.zeros(1000, 1000, device="meta"),
    ],
    ids=["16 TB in 4 bytes", "sparse", "without content"],
)
def test_a_tensor_that_claims_more_than_it_has_takes_no_memory(tmp_path: Path, tensor: Tensor) -> None:
    path = _save({"rnn.weight_hh_l0": tensor}, tmp_path / "bomb.pt")
    with pytest.raises(DataError, match=r"bomb\.pt: rnn\.weight_hh_l0 \(.*\) is not a plain tensor(.|\n)*contiguous"):
        load_rnn(path)


# -- damaged ---------------------------------------------------------------------------------------


def _blobs() -> Iterator[tuple[str, bytes]]:
    spec = RNNSpec(cell="lstm", input_size=1, hidden_size=2, num_layers=1, output_size=1)
    tensors = {name: torch.full(shape, 0.5) for name, shape in spec.parameter_shapes.items()}
    yield "rnn.safetensors", safetensors.torch.save(tensors)
    for name, is_zip in (("zip.pt", True), ("old.pt", False)):
        buffer = io.BytesIO()
        torch.save(tensors, buffer, _use_new_zipfile_serialization=is_zip)
        yield name, buffer.getvalue()


BLOBS = dict(_blobs())


@pytest.mark.parametrize("name", BLOBS)
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.9])
def test_a_truncated_file_is_named(tmp_path: Path, name: str, share: float) -> None:
    path = tmp_path / name
    path.write_bytes(BLOBS[name][: int(share * len(BLOBS[name]))])
    with pytest.raises(DataError, match=rf"{name}: (cannot be read as a checkpoint: \S|the file is empty)"):
        load_rnn(path)


@given(name=st.sampled_from(sorted(BLOBS)), data=st.data())
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_damage_only_our_own_errors_come_out(tmp_path: Path, name: str, data: st.DataObject) -> None:
    blob = bytearray(BLOBS[name])
    for place in data.draw(st.lists(st.integers(0, len(blob) - 1), min_size=1, max_size=8)):
        blob[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(blob)))
    path = tmp_path / name
    path.write_bytes(bytes(blob[:cut] if data.draw(st.booleans()) else blob))
    try:
        assert load_rnn(path).flatten().isfinite().all()
    except Rnn2VecError as error:
        assert str(path) in error.problem  # noqa: PT017 (many examples: some can still be read)
