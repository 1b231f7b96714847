"""The model in the package does what its card says, on the RNNs in the package."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch

from rnn2vec._assets import shipped_folder, shipped_names
from rnn2vec._files import sha256_of
from rnn2vec.embedding.rnn2vec import Rnn2Vec
from rnn2vec.emulation.data import SplitData
from rnn2vec.emulation.fidelity import emulation_fidelity
from rnn2vec.index.packing import ModelCard, reference_of
from rnn2vec.zoo.store import Zoo

NAME = "formal-languages"
ON_SAMPLE = {"validation": 0.0064, "ood": 0.0073}
"""Mean total variation on the sample's snapshots."""


@pytest.fixture(scope="module")
def rnn2vec() -> Rnn2Vec:
    return Rnn2Vec.from_pretrained(NAME)


@pytest.fixture(scope="module")
def zoo() -> Zoo:
    return Zoo.sample(NAME)


@pytest.mark.parametrize("split", ["validation", "ood"])
def test_emulations_are_as_near_as_they_were(rnn2vec: Rnn2Vec, zoo: Zoo, split: str) -> None:
    data = SplitData(zoo, split)
    found = emulation_fidelity(rnn2vec.encoder, rnn2vec.emulator, data.first_rollouts(10))["total-variation"]
    assert found.mean() == pytest.approx(ON_SAMPLE[split], abs=3e-4)
    card = ModelCard.read(shipped_folder("models", NAME))
    last = found[data.steps == 4000].mean()
    assert last < card.losses[split].high  # fully trained RNNs are the easiest
    assert abs(last - card.losses[f"{split}/last"].mean) < 0.002


def test_names_checksums_and_sizes_hold(zoo: Zoo) -> None:
    assert shipped_names("models") == [NAME]
    folder = shipped_folder("models", NAME)
    card = ModelCard.read(folder)
    assert {name: sha256_of((folder / name).read_bytes()) for name in card.files} == card.files
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    assert sum(path.stat().st_size for path in files) < 4e6
    index = reference_of(NAME)
    assert index is not None
    assert len(index) == card.reference_rnns == 3000
    runs = set(index.table.column("run").to_pylist())
    assert runs.isdisjoint(zoo.properties.column("run").to_pylist())


def test_neighbours_have_the_same_language(rnn2vec: Rnn2Vec, zoo: Zoo) -> None:
    """Of trained RNNs of languages that the encoder never met, the nearest have the same one where the index has it."""
    index = reference_of(NAME)
    assert index is not None
    rows = np.flatnonzero(zoo.column("step") == 4000)
    tasks = [zoo.family.describe(task) for task in zoo.tasks(rows)]
    known = set(index.table.column("task").to_pylist())
    found = [one[0].properties["task"] for one in index.query(rnn2vec.embed(zoo.rnns(rows)), 1)]
    hits = [task == other for task, other in zip(tasks, found, strict=True) if task in known]
    assert len(hits) >= 10
    assert np.mean(hits) >= 0.8


def test_other_cells_and_sizes_are_read(rnn2vec: Rnn2Vec) -> None:
    class Generator(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru = torch.nn.GRU(6, 20, batch_first=True)
            self.head = torch.nn.Linear(20, 6)

    assert rnn2vec.embed([Generator(), Generator()]).shape == (2, 16)


def test_the_folder_is_not_written_to(tmp_path: Path) -> None:
    folder = shipped_folder("models", NAME)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    start = time.time_ns()
    Rnn2Vec.from_pretrained(NAME).save(tmp_path / "copy")
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert max(before.values()) < start
