"""Packed models: what a card says is measured, and everything that takes an index takes a packed model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.seals import rewrite

from rnn2vec._errors import DataError, UsageError
from rnn2vec.cli import main
from rnn2vec.embedding.rnn2vec import Rnn2Vec
from rnn2vec.emulation.losses import total_variation
from rnn2vec.index.index import Index
from rnn2vec.index.packing import CARD, ModelCard, pack, reference_of
from rnn2vec.zoo.store import Zoo


@pytest.fixture(scope="module")
def packed(tiny_run: Path, tiny_zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny run, packed by the command line."""
    out = tmp_path_factory.mktemp("packed") / "tiny"
    command = ["pack", str(tiny_run), "--zoo", str(tiny_zoo.folder), "--out", str(out), "--rnns", "16"]
    assert main([*command, "--limits", "A toy."]) == 0
    return out


@torch.no_grad()
def test_the_losses_on_the_card_are_those_of_the_model(packed: Path, tiny_zoo: Zoo) -> None:
    card, rnn2vec = ModelCard.read(packed), Rnn2Vec(packed)
    for split in ("validation", "ood"):
        rows = tiny_zoo.split(split)
        stack = tiny_zoo.rnns(rows)
        inputs = tiny_zoo.family.rollout_inputs(tiny_zoo.rollouts(rows)[:, :10], tiny_zoo.tasks(rows))
        emulated = rnn2vec.emulator(torch.from_numpy(rnn2vec.embed(stack)), inputs)
        expected = total_variation(stack(inputs)[0], emulated).mean(dim=(1, 2))
        loss = card.losses[split]
        assert loss.mean == pytest.approx(expected.mean().item(), abs=1e-5)
        assert loss.low <= loss.mean <= loss.high
        assert loss.rnns == len(rows)
        last = tiny_zoo.column("step")[rows] == tiny_zoo.column("step").max()
        assert card.losses[f"{split}/last"].mean == pytest.approx(expected[last].mean().item(), abs=1e-5)
    assert card.limits == ("A toy.",)


def test_a_packed_model_is_a_model_and_an_index(packed: Path, tiny_run: Path, tiny_zoo: Zoo) -> None:
    np.testing.assert_array_equal(Rnn2Vec(packed).embed(tiny_zoo), Rnn2Vec(tiny_run).embed(tiny_zoo))
    index = reference_of(packed)
    assert index is not None
    assert len(index) == 16
    held_out = {"validation", "ood"} & set(index.table.column("split").to_pylist())
    assert held_out == {"validation", "ood"}
    assert str(tiny_zoo.folder.parent) not in json.dumps(index.names)
    assert reference_of(tiny_run) is None


def test_the_same_seed_packs_the_same_bytes(packed: Path, tiny_run: Path, tiny_zoo: Zoo, tmp_path: Path) -> None:
    pack(tiny_run, tiny_zoo, tmp_path / "again", most_rnns=16, limits=("A toy.",))
    files = sorted(path.relative_to(packed) for path in packed.rglob("*") if path.is_file() and path.name[0] != ".")
    assert {str(file) for file in files} >= {CARD, "index.json", "model/model.safetensors"}
    for file in files:
        assert (packed / file).read_bytes() == (tmp_path / "again" / file).read_bytes(), file


def test_a_packed_model_is_listed_and_inspects(
    packed: Path, tiny_zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny").symlink_to(packed)
    monkeypatch.setattr("rnn2vec._assets._ASSETS", tmp_path)
    capsys.readouterr()
    assert main(["models"]) == 0
    assert "tiny" in capsys.readouterr().out
    assert main(["models", "tiny"]) == 0
    text = capsys.readouterr().out
    assert "total-variation between RNNs and their emulations" in text
    assert "A toy." in text
    torch.save(tiny_zoo[0].to_modules()[0].state_dict(), tmp_path / "own.pt")
    assert main(["inspect", str(tmp_path / "own.pt"), "--model", "tiny"]) == 0
    assert "most like" in capsys.readouterr().out
    assert main(["models", "tinny"]) == 2
    assert "did you mean 'tiny'" in capsys.readouterr().err


def test_a_damaged_card_and_a_folder_without_one_are_refused(packed: Path, tiny_run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no card\.json\n.*rnn2vec pack"):
        ModelCard.read(tiny_run)
    (tmp_path / CARD).write_bytes((packed / CARD).read_bytes().replace(b"A toy.", b"A joy."))
    with pytest.raises(DataError, match="checksum"):
        ModelCard.read(tmp_path)
    (tmp_path / CARD).write_bytes((packed / CARD).read_bytes())
    rewrite(tmp_path / CARD, lambda card: card.update(updates="many"))
    with pytest.raises(DataError, match="updates"):
        ModelCard.read(tmp_path)


def test_a_run_on_another_zoo_is_refused(tiny_run: Path, tiny_zoo: Zoo, tmp_path: Path) -> None:
    other = tiny_zoo.subset(tmp_path / "other", num_runs=4)
    with pytest.raises(UsageError, match="a zoo other than"):
        pack(tiny_run, other, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_samples_are_named(tmp_path: Path, tiny_zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "zoos").mkdir()
    (tmp_path / "zoos" / "tiny").symlink_to(tiny_zoo.folder)
    monkeypatch.setattr("rnn2vec._assets._ASSETS", tmp_path)
    assert len(Zoo.sample("tiny")) == len(tiny_zoo)
    with pytest.raises(UsageError, match="did you mean 'tiny'"):
        Zoo.sample("tinny")


def test_an_index_is_opened_as_a_model(packed: Path) -> None:
    assert Rnn2Vec.from_pretrained(packed).config == Index.open(packed).model.config


def test_the_sample_holds_unseen_and_ood_languages() -> None:
    zoo = Zoo.sample("formal-languages")
    assert len(zoo) == 80
    assert zoo.split("train").size == 0
    assert zoo.split("validation").size == 44
    assert zoo.split("ood").size == 36
    assert len({tuple(task) for task in zoo.tasks(range(80))}) == 20
    assert sum(path.stat().st_size for path in zoo.folder.rglob("*")) < 5e6
