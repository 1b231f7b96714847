"""Lists of checkpoints: found, divided, and read with what cannot be read left out."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from rnn2vec._errors import DataError, UsageError
from rnn2vec.embedding import reading
from rnn2vec.embedding.reading import checkpoint_files, portions, read, read_all
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.zoo.manifest import MANIFEST
from rnn2vec.zoo.store import Zoo


def _anything(_: RNNStack) -> None:
    """The check of a purpose that takes all RNNs."""


@pytest.fixture
def folder(random_rnns: Callable[..., RNNStack], tmp_path: Path) -> Path:
    """Seven checkpoints of about 200, 400, ... numbers, in two folders, among other files."""
    place = tmp_path / "checkpoints"
    for number in range(7):
        spec = RNNSpec(cell="gru", input_size=6, hidden_size=4 + 2 * number, num_layers=1, output_size=6)
        path = place / ("early" if number < 4 else "late") / f"{number}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        safetensors.torch.save_file(random_rnns(spec, 1).to_modules()[0].state_dict(), path)
    (place / "notes.txt").write_text("not a checkpoint")
    return place


def test_folders_are_searched_and_files_and_zoos_are_not(folder: Path, tiny_zoo: Zoo, tmp_path: Path) -> None:
    other, empty = tmp_path / "x.bin", tmp_path / "empty"
    empty.mkdir()
    files = checkpoint_files([other, folder, tiny_zoo.folder, empty])
    assert [path.name for path in files[1:-2]] == [f"{number}.safetensors" for number in range(7)]
    assert [files[0], *files[-2:]] == [other, tiny_zoo.folder, empty]
    with pytest.raises(UsageError, match="no checkpoint was given"):
        checkpoint_files([])


def test_optimizers_schedulers_and_random_states_beside_models_are_skipped_and_counted(folder: Path) -> None:
    """Read a folder as Hugging Face's trainer writes it."""
    step = folder / "checkpoint-100"
    step.mkdir()
    shutil.copy(folder / "early" / "0.safetensors", step / "model.safetensors")
    for name in ("optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state.pth", "rng_state_0.pth", "training_args.bin"):
        torch.save({"step": 3}, step / name)
    files = checkpoint_files([folder])
    assert [path.name for path in files if path.parent == step] == ["model.safetensors"]
    assert files.companions == 6
    (portion,) = portions(files)
    assert not read(portion, _anything).left_out
    assert checkpoint_files([step / "optimizer.pt"]) == [step / "optimizer.pt"]  # a file that was named is not skipped


def test_portions_keep_the_order_and_stay_small(folder: Path, tiny_zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_RNNS_AT_ONCE", 5)
    files = checkpoint_files([folder])
    planned = portions([*files[:6], tiny_zoo.folder, files[6]])
    assert [len(portion) for portion in planned] == [5, 1, 5, 5, 5, 5, 4, 1]
    names = [name for portion in planned for name in portion.names]
    rows = [f"{tiny_zoo.folder}#{row}" for row in range(24)]
    assert names == [*map(str, files[:6]), *rows, str(files[6])]


def test_large_rnns_make_small_portions(folder: Path, tiny_zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    files = checkpoint_files([folder])
    sizes = [path.stat().st_size for path in files]
    monkeypatch.setattr(reading, "_BYTES_AT_ONCE", sum(sizes[:4]))
    assert len(portions(files)[0]) == 4
    monkeypatch.setattr(reading, "_BYTES_AT_ONCE", 1)
    assert [len(portion) for portion in portions([*files, tiny_zoo.folder])] == [1] * (7 + len(tiny_zoo))


def test_what_is_known_is_not_read_again(folder: Path, tiny_zoo: Zoo) -> None:
    files = checkpoint_files([folder])
    known = {str(files[2]), f"{tiny_zoo.folder}#0", f"{tiny_zoo.folder}#7"}
    planned = portions([*files, tiny_zoo.folder], known=known)
    assert [len(portion) for portion in planned] == [6, len(tiny_zoo) - 2]
    assert not known & {name for portion in planned for name in portion.names}


def test_a_zoo_is_read_with_what_it_knows(tiny_zoo: Zoo) -> None:
    (portion,) = portions([tiny_zoo.folder], known={f"{tiny_zoo.folder}#0"})
    opened = read(portion, _anything)
    assert opened.names[0] == f"{tiny_zoo.folder}#1"
    np.testing.assert_array_equal(opened.stacks[0].flatten(), tiny_zoo.rnns(range(1, len(tiny_zoo))).flatten())
    assert opened.properties is not None
    assert opened.properties.column("step").to_pylist() == tiny_zoo.column("step").tolist()[1:]
    assert opened.properties.column("task")[0].as_py().startswith("a^n")


def test_what_does_not_fit_or_cannot_be_read_is_left_out(folder: Path, tmp_path: Path) -> None:
    (folder / "late" / "5.safetensors").write_bytes(b"torn")
    (tmp_path / "empty").mkdir()

    def small(stack: RNNStack) -> None:
        if stack.spec.hidden_size > 8:
            raise UsageError("too large", remedy="give a smaller one.")

    (portion,) = portions([*checkpoint_files([folder]), tmp_path / "empty", tmp_path / "missing.pt"])
    opened = read(portion, small)
    assert [Path(name).stem for name in opened.names] == ["0", "1", "2"]
    assert [one.path.stem for one in opened.left_out] == ["3", "4", "5", "6", "empty", "missing"]
    assert opened.left_out[0].problem == f"{folder / 'early' / '3.safetensors'}: too large"
    assert isinstance(opened.left_out[0].error, UsageError)
    assert isinstance(opened.left_out[2].error, DataError)
    assert "empty holds no checkpoint files (.safetensors, .pt" in opened.left_out[4].problem


def test_all_at_once_in_order_or_an_error(folder: Path, tiny_zoo: Zoo) -> None:
    stacks = read_all([folder, tiny_zoo.folder])
    assert [stack.spec.hidden_size for stack in stacks] == [4, 6, 8, 10, 12, 14, 16, 32]
    assert [len(stack) for stack in stacks] == [1] * 7 + [len(tiny_zoo)]
    (folder / "late" / "5.safetensors").write_bytes(b"torn")
    with pytest.raises(DataError, match=r"5\.safetensors: cannot be read as a checkpoint"):
        read_all([folder])


@pytest.mark.parametrize(("broken", "words"), [(MANIFEST, "is not valid JSON"), ("shards", "is truncated or altered")])
def test_a_damaged_zoo_is_left_out_with_the_reason(tiny_zoo: Zoo, tmp_path: Path, broken: str, words: str) -> None:
    zoo = Path(shutil.copytree(tiny_zoo.folder, tmp_path / "zoo"))
    places = [zoo / MANIFEST] if broken == MANIFEST else list(zoo.rglob("*.safetensors"))
    for place in places:
        place.write_bytes(b"torn")
    (portion,) = portions([zoo])
    opened = read(portion, _anything)
    assert opened.names == []
    (left_out,) = opened.left_out
    assert words in left_out.problem
    assert left_out.path == zoo
