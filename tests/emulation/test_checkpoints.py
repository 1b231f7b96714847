"""A run's files: models and checkpoints come back bit by bit, and damaged ones are named."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.seals import rewrite, rewrite_weights
from torch import Tensor, nn

from rnn2vec._errors import DataError, StorageError, UsageError
from rnn2vec.emulation import checkpoints
from rnn2vec.emulation.checkpoints import load_model, make_model, save_model
from rnn2vec.training.checkpoint import Standing, load_state, save_state
from rnn2vec.zoo.store import Zoo

Change = Callable[[dict[str, Any]], Any]


@pytest.fixture
def folder(small_run: Path, tmp_path: Path) -> Path:
    """A copy of a finished run, to be damaged."""
    return Path(shutil.copytree(small_run, tmp_path / "run"))


def _modules(model: checkpoints.Model) -> dict[str, nn.Module]:
    return {"encoder": model.encoder, "emulator": model.emulator}


def _set(place: str, value: Any) -> Change:
    """Set `a.b` to a value."""

    def change(values: dict[str, Any]) -> None:
        *parents, last = place.split(".")
        for name in parents:
            values = values[name]
        values[last] = value

    return change


# -- round trips -----------------------------------------------------------------------------------


def test_a_model_comes_back_bit_by_bit(folder: Path, small_zoo: Zoo, tmp_path: Path) -> None:
    model = load_model(folder)
    (tmp_path / "copy").mkdir()
    save_model(tmp_path / "copy", model)
    for name in (checkpoints.CONFIG, checkpoints.MODEL):
        assert (tmp_path / "copy" / name).read_bytes() == (folder / name).read_bytes()
    again, stack = load_model(tmp_path / "copy"), small_zoo.rnns([0, 1])
    assert torch.equal(again.encoder(stack), model.encoder(stack))


def test_reading_a_model_leaves_torchs_global_generator_alone(folder: Path) -> None:
    before = torch.get_rng_state()
    load_model(folder)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_checkpoint_holds_weights_optimizer_and_standing(folder: Path, tmp_path: Path) -> None:
    def optimizer_of(model: checkpoints.Model) -> torch.optim.Optimizer:
        return torch.optim.AdamW([*model.encoder.parameters(), *model.emulator.parameters()], lr=0.1)

    model = load_model(folder)
    optimizer = optimizer_of(model)
    for parameter in model.encoder.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    standing = Standing(step=5, best=0.1 + 0.2, best_step=3, misses=1)
    path = tmp_path / checkpoints.CHECKPOINT
    save_state(path, _modules(model), optimizer, standing)

    fresh = make_model(model.config, seed=9)
    other = optimizer_of(fresh)
    assert load_state(path, _modules(fresh), other, remedy="") == standing
    save_state(folder / checkpoints.CHECKPOINT, _modules(fresh), other, standing)
    assert (folder / checkpoints.CHECKPOINT).read_bytes() == path.read_bytes()


def test_without_a_checkpoint_a_run_starts_at_0(folder: Path, tmp_path: Path) -> None:
    model = load_model(folder)
    optimizer = torch.optim.AdamW(model.encoder.parameters())
    assert load_state(tmp_path / checkpoints.CHECKPOINT, _modules(model), optimizer, remedy="") == Standing()


def test_a_full_disk_leaves_the_model_that_was_there(
    folder: Path, small_zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    config = load_model(folder).config
    other = make_model({**config, "representation_size": 3}, seed=1)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="no space left"):
        save_model(folder, other)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert load_model(folder).encoder(small_zoo.rnns([0])).shape == (1, 4)


# -- folders without a model -----------------------------------------------------------------------


@pytest.mark.parametrize("missing", [checkpoints.CONFIG, checkpoints.MODEL])
def test_a_folder_without_a_model_is_named(folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    (folder / checkpoints.RUN).unlink()
    with pytest.raises(UsageError, match=rf"run is not a model: it has no {missing}\n.*rnn2vec pretrain --out") as e:
        load_model(folder)
    assert str(folder) in e.value.problem


def test_a_run_that_has_no_model_yet_is_to_be_gone_on_with(folder: Path) -> None:
    for name in (checkpoints.CONFIG, checkpoints.MODEL):
        (folder / name).unlink()
    with pytest.raises(UsageError, match=r"run is a run without a model yet: .*\n.*resume it"):
        load_model(folder)


def test_a_folder_that_is_not_there_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere is not a model: it has no config\.json"):
        load_model(tmp_path / "nowhere")


# -- damaged models --------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["{", "", "[]", "3", '{"encoder": "interactive-probing"}'])
def test_a_config_that_is_none_is_named(folder: Path, content: str) -> None:
    (folder / checkpoints.CONFIG).write_text(content)
    with pytest.raises(DataError, match=r"config\.json (is not valid JSON|names no format version)(.|\n)*restore"):
        load_model(folder)


@pytest.mark.parametrize("version", ["1", None, 1.5])
def test_a_strange_format_version_is_named(folder: Path, version: Any) -> None:
    rewrite(folder / checkpoints.CONFIG, _set("format_version", version))
    with pytest.raises(DataError, match=r"config\.json names no format version"):
        load_model(folder)


def test_a_newer_format_asks_for_an_upgrade(folder: Path) -> None:
    rewrite(folder / checkpoints.CONFIG, _set("format_version", 3))
    with pytest.raises(DataError, match=r"run has format version 3; this rnn2vec reads up to 2\n.*--upgrade rnn2vec"):
        load_model(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_set("encoder", "interactive-probin"), "unknown encoder"),
        (_set("encoder_options", {"colour": "red"}), "colour"),
        (_set("encoder_options", []), "expected an object"),
        (_set("spec.cell", "transformer"), "unknown cell 'transformer'"),
        (_set("spec.hidden_size", 0), "hidden_size=0"),
        (_set("spec", None), "expected dict"),
        (_set("interface.first_input", [1.0]), "first_input has 1 numbers"),
        (_set("interface", {}), "first_input"),
        (_set("representation_size", 5), r"config\.json asks for \(8, 5\), model\.safetensors has \(8, 4\)"),
        (_set("emulator_options.hidden_size", 9), r"emulator.*asks for \(36,\), .* has \(32,\)"),
        (_set("encoder_options.probe_start", "learned"), r"probe_maker.*asks for \(12,\), .* has \(14,\)"),
        (_set("encoder", "task-blind"), "encoder|hyperparameters"),
        (lambda values: {name: value for name, value in values.items() if name != "spec"}, "'spec' is missing"),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_a_config_that_was_altered_is_named(folder: Path, change: Change, words: str) -> None:
    rewrite(folder / checkpoints.CONFIG, change)
    with pytest.raises(DataError, match=rf"run holds no readable model: .*({words})(.|\n)*restore its files") as caught:
        load_model(folder)
    assert str(folder) in caught.value.problem
    assert len(str(caught.value)) < 600


def test_a_config_cannot_ask_for_memory_that_the_weights_do_not_fill(folder: Path) -> None:
    """Else a few bytes from elsewhere could take all of it: this one asks for more than there is."""
    rewrite(folder / checkpoints.CONFIG, _set("encoder_options.hidden_size", 4000))
    with pytest.raises(DataError, match=r"asks for \(\d*, 4000\)|asks for \(4000|asks for \(16000"):
        load_model(folder)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_truncated_weights_are_named(folder: Path, share: float) -> None:
    path = folder / checkpoints.MODEL
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(DataError, match=r"run holds no readable model: .*(header|bytes)"):
        load_model(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_named(folder: Path, value: float) -> None:
    path = folder / checkpoints.MODEL
    rewrite_weights(path, lambda weights: weights["emulator.readout.bias"].fill_(value))
    with pytest.raises(DataError, match=r"no readable model: .*emulator\.readout\.bias has NaN or infinite numbers"):
        load_model(folder)


@pytest.mark.parametrize("change", ["missing", "unknown", "shape"])
def test_weights_that_do_not_fit_are_named(folder: Path, change: str) -> None:
    path, name = folder / checkpoints.MODEL, "encoder.to_representation.weight"

    def alter(weights: dict[str, Tensor]) -> None:
        tensor = weights.pop(name)
        if change != "missing":
            weights[name if change == "shape" else f"{name}s"] = tensor[:2].contiguous()

    rewrite_weights(path, alter)
    with pytest.raises(DataError, match=rf"no readable model: .*{name}: config\.json asks for \(4, 8\), .* has"):
        load_model(folder)
