"""Files that training scripts leave behind: read as they act, or refused by name with the lines that help."""

from __future__ import annotations

import argparse
import copy
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune, spectral_norm

from rnn2vec._errors import DataError, Rnn2VecError, UsageError
from rnn2vec.rnn.parts import AssumedWarning
from rnn2vec.rnn.reading.files import load_rnn
from rnn2vec.rnn.reading.samples import read_samples
from rnn2vec.rnn.stack import RNNStack

FIXTURES = Path(__file__).parents[1] / "fixtures"
Draw = Callable[..., Tensor]


class Net(nn.Module):
    """A GRU cell stepped by hand, under a readout: hooks of weights act at every step."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.GRUCell(3, 5), nn.Linear(5, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        state, outputs = None, []
        for step in inputs.unbind(1):
            state = self.cell(step, state)
            outputs.append(self.head(state))
        return torch.stack(outputs, dim=1)


def _old_weight_norm(net: Net) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("weight_hh", "weight_ih"):
            nn.utils.weight_norm(net.cell, name)
        nn.utils.weight_norm(net.head, "weight", dim=1)


def _prune(net: Net) -> None:
    prune.random_unstructured(net.cell, "weight_hh", 0.4)
    prune.l1_unstructured(net.head, "bias", 0.5)


HOOKS: dict[str, Callable[[Net], Any]] = {
    "weight_norm": _old_weight_norm,
    "weight_norm of all": lambda net: parametrizations.weight_norm(net.head, dim=None),
    "new weight_norm": lambda net: parametrizations.weight_norm(net.cell, "weight_hh"),
    "spectral_norm": lambda net: spectral_norm(net.cell, "weight_hh"),
    "new spectral_norm": lambda net: parametrizations.spectral_norm(net.cell, "weight_hh"),
    "prune": _prune,
}


def _same(stack: RNNStack, net: nn.Module, inputs: Tensor) -> None:
    torch.testing.assert_close(stack(inputs[None])[0][0], net(inputs), rtol=0, atol=1e-5)


@pytest.mark.parametrize("hook", HOOKS.values(), ids=HOOKS.keys())
def test_weights_are_read_as_they_act(tmp_path: Path, draw: Draw, hook: Callable[[Net], Any]) -> None:
    net, inputs = Net(), draw(2, 5, 3, dtype=torch.float32)
    hook(net)
    net.eval()
    torch.save(net.state_dict(), tmp_path / "net.pt")
    _same(load_rnn(tmp_path / "net.pt"), net, inputs)
    _same(RNNStack.from_modules([net]), net, inputs)


@pytest.mark.parametrize("place", ["", "module."])
def test_the_raw_matrix_of_a_weight_drop_is_read_and_not_the_dropped_one(draw: Draw, place: str) -> None:
    net, inputs = Net(), draw(2, 5, 3, dtype=torch.float32)
    state_dict = {name.replace("cell.", f"cell.{place}"): one for name, one in net.state_dict().items()}
    state_dict["cell.weight_hh_raw"] = net.cell.weight_hh.detach()
    state_dict[f"cell.{place}weight_hh"] = nn.functional.dropout(net.cell.weight_hh, 0.5)
    _same(RNNStack.from_state_dicts([state_dict]), net, inputs)


def test_pieces_of_no_known_method_are_named() -> None:
    state_dict = Net().state_dict()
    state_dict["cell.weight_hh_mask"] = torch.ones(15, 5)
    with pytest.raises(UsageError, match=r"cell\.weight_hh is stored in pieces \(mask \(15, 5\)\)(.|\n)*as they act"):
        RNNStack.from_state_dicts([state_dict])


# -- checkpoints of training scripts ---------------------------------------------------------------


def test_harmless_extras_do_not_matter(tmp_path: Path, draw: Draw) -> None:
    net = Net()
    optimizer = torch.optim.Adam(net.parameters())
    extras = {
        "best": np.float64(0.5),
        "history": np.arange(3),
        "args": argparse.Namespace(lr=0.1, out=Path("runs")),
        "path": Path("runs/x"),
        "optimizer": optimizer.state_dict(),
        "whole_optimizer": optimizer,
    }
    for name, value in extras.items():
        torch.save({"actor_state_dict": net.state_dict(), name: value}, tmp_path / f"{name}.pt")
        _same(load_rnn(tmp_path / f"{name}.pt"), net, draw(2, 5, 3, dtype=torch.float32))


def test_another_object_is_refused_with_the_lines_that_save_the_weights(tmp_path: Path) -> None:
    torch.save(Net(), tmp_path / "module.pt")
    with pytest.raises(
        DataError, match=r"module\.pt: .* asks to call .*Net(.|\n)*weights_only=False(.|\n)*torch\.save"
    ):
        load_rnn(tmp_path / "module.pt")


def test_a_state_dict_may_have_any_key(tmp_path: Path, draw: Draw) -> None:
    net, inputs = Net(), draw(2, 5, 3, dtype=torch.float32)
    torch.save({"agent": {"actor": net.state_dict(), "old": Net().state_dict()}}, tmp_path / "c.pt")
    with pytest.raises(UsageError, match=r"c\.pt: holds several state dicts: 'agent\.actor', 'agent\.old'\n.*--key"):
        load_rnn(tmp_path / "c.pt")
    _same(load_rnn(tmp_path / "c.pt", key="agent.actor"), net, inputs)


def test_an_averaged_model_is_read(tmp_path: Path, draw: Draw) -> None:
    net = Net()
    averaged = torch.optim.swa_utils.AveragedModel(net)
    averaged.update_parameters(net)
    torch.save(averaged.state_dict(), tmp_path / "averaged.pt")
    _same(load_rnn(tmp_path / "averaged.pt"), net, draw(2, 5, 3, dtype=torch.float32))


def test_the_actor_of_a_stable_baselines_file_is_read_and_that_is_said() -> None:
    path = FIXTURES / "stable_baselines_plain.zip"
    with pytest.warns(
        AssumedWarning, match="the RNN is the actor of the policy; log_std, lstm_critic, value_net are l"
    ):
        stack = load_rnn(path)
    inputs, outputs = map(torch.from_numpy, read_samples(path.with_suffix(".npz")))
    torch.testing.assert_close(stack(inputs[None])[0][0], outputs, rtol=0, atol=1e-5)
    assert (len(stack.assumed), load_rnn(path, check=(inputs, outputs)).assumed) == (1, ())


def test_a_perceptron_between_is_named() -> None:
    with pytest.raises(UsageError, match=r"mlp_extractor\.policy_net\.0\.weight \(4, 5\)(.|\n)*ModuleBlackBox"):
        load_rnn(FIXTURES / "stable_baselines_perceptron.zip")


# -- types -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.int8, torch.bool])
def test_other_types_beside_float32_are_converted_exactly(dtype: torch.dtype) -> None:
    state_dict = Net().state_dict()
    state_dict["head.weight"] = torch.tensor([[1, 0, 1, 1, 0], [0, 1, 0, 0, 1]]).to(dtype)
    (read,) = RNNStack.from_state_dicts([state_dict]).weights["readout.weight"]
    assert read.dtype == torch.float32
    assert torch.equal(read, state_dict["head.weight"].float())


@pytest.mark.parametrize("tensor", [torch.full((2, 5), 2**24 + 1), torch.ones(2, 5, dtype=torch.complex64)])
def test_types_that_are_not_exact_are_named(tensor: Tensor) -> None:
    with pytest.raises(
        UsageError, match=r"readout\.weight holds numbers of type (int64|complex64), which are no exact"
    ):
        RNNStack.from_state_dicts([Net().state_dict() | {"head.weight": tensor}])


def test_numbers_beyond_float32_name_the_file(tmp_path: Path) -> None:
    net = copy.deepcopy(Net()).double()
    with torch.no_grad():
        net.head.weight[0, 0] = 1e200
    torch.save(net.state_dict(), tmp_path / "far.pt")
    with pytest.raises(DataError, match=r"far\.pt: readout\.weight holds numbers up to 1e\+200, beyond the range"):
        load_rnn(tmp_path / "far.pt")


# -- refused by name -------------------------------------------------------------------------------


def _lfs(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1234\n")


def _script(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(Net().eval(), torch.randn(1, 2, 3)), path)


def _export(path: Path) -> None:
    torch.export.save(torch.export.export(Net().eval(), (torch.randn(1, 2, 3),)), path)


BY_NAME: dict[str, tuple[Callable[[Path], Any], str]] = {
    "pointer.safetensors": (_lfs, "a Git LFS pointer, not the file itself\n.*git lfs pull"),
    "empty.pt": (lambda path: path.write_bytes(b""), r"the file is empty \(0 bytes\)\n.*again"),
    "script.pt": (_script, r"a TorchScript archive(.|\n)*torch\.jit\.load\('script\.pt'\)(.|\n)*torch\.save"),
    "export.pt2": (_export, r"a torch\.export archive(.|\n)*torch\.export\.load\('export\.pt2'\)(.|\n)*torch\.save"),
}


@pytest.mark.parametrize("name", BY_NAME)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_what_is_not_read_is_named_with_the_lines_that_help(tmp_path: Path, name: str) -> None:
    write, words = BY_NAME[name]
    write(tmp_path / name)
    with pytest.raises(Rnn2VecError, match=rf"{name}: {words}"):
        load_rnn(tmp_path / name)


# -- samples ---------------------------------------------------------------------------------------


def test_samples_are_read_with_care(tmp_path: Path) -> None:
    path = tmp_path / "s.npz"
    np.savez(path, inputs=np.zeros((1, 2, 3)), outputs=np.ones((1, 2, 2)))
    inputs, outputs = read_samples(path)
    assert (inputs.shape, outputs.sum()) == ((1, 2, 3), 4)
    np.savez(path, inputs=np.zeros(1))
    with pytest.raises(UsageError, match=r"s\.npz has no outputs\.npy"):
        read_samples(path)
    np.savez_compressed(path, inputs=np.zeros(1000), outputs=np.zeros(1000))
    with pytest.raises(DataError, match=r"is packed(.|\n)*not savez_compressed"):
        read_samples(path)
    np.savez(path, inputs=np.array(["x"]), outputs=np.zeros(1))
    with pytest.raises(DataError, match=r"inputs\.npy claims shape \(1,\) of type <U1"):
        read_samples(path)
    with pytest.raises(UsageError, match="nowhere is not a file"):
        read_samples(tmp_path / "nowhere")
