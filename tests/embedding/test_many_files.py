"""Thousands of files: batch by batch, each failure with its reason, and on from where it was after a kill."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch
from tests.seals import rewrite_weights

from rnn2vec._errors import DataError, StorageError, UsageError
from rnn2vec.embedding import reading
from rnn2vec.embedding.many_files import PLAN, Embedded, embed_files, embed_files_to, joined
from rnn2vec.embedding.reading import checkpoint_files
from rnn2vec.embedding.rnn2vec import Rnn2Vec
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.zoo.store import Zoo


@pytest.fixture(scope="module")
def rnn2vec(tiny_run: Path) -> Rnn2Vec:
    return Rnn2Vec.from_pretrained(tiny_run)


@pytest.fixture(autouse=True)
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_RNNS_AT_ONCE", 3)


@pytest.fixture
def folder(random_rnns: Callable[..., RNNStack], tmp_path: Path) -> Path:
    """Ten checkpoints of two architectures in two subfolders, among other files; the sixth is damaged."""
    place = tmp_path / "checkpoints"
    for number in range(10):
        cell: Any = "gru" if number % 3 else "lstm"
        spec = RNNSpec(cell=cell, input_size=6, hidden_size=4, num_layers=1, output_size=6)
        path = place / ("early" if number < 5 else "late") / f"{number}.{'pt' if number % 2 else 'safetensors'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        weights = random_rnns(spec, 1).to_modules()[0].state_dict()
        (torch.save if number % 2 else safetensors.torch.save_file)(weights, path)
    (place / "late" / "5.pt").write_bytes(b"torn")
    (place / "notes.txt").write_text("not a checkpoint")
    return place


def _count_reads(monkeypatch: pytest.MonkeyPatch, fail_at: int | None = None) -> list[Path]:
    """The files that are read from now on; reading stops with a kill before the one of that number."""
    read: list[Path] = []

    def load(path: Path, **hints: Any) -> RNNStack:
        if len(read) == fail_at:
            raise KeyboardInterrupt
        read.append(path)
        return load_rnn(path, **hints)

    load_rnn = reading.read_rnn
    monkeypatch.setattr(reading, "read_rnn", load)
    return read


def test_a_table_of_all_that_can_be_read(rnn2vec: Rnn2Vec, folder: Path, tmp_path: Path) -> None:
    files, out = checkpoint_files([folder]), tmp_path / "vectors.parquet"
    heard: list[tuple[float, float]] = []
    result = embed_files_to(out, rnn2vec, files, progress=lambda done, total, _: heard.append((done, total)))

    good = [path for path in files if path.name != "5.pt"]
    assert result.names == [str(path) for path in good]
    np.testing.assert_allclose(result.vectors, rnn2vec.embed(good), rtol=0, atol=1e-6)
    (folder / "late" / "5.pt").unlink()
    np.testing.assert_allclose(rnn2vec.embed(folder), result.vectors, rtol=0, atol=1e-6)
    (left_out,) = result.left_out
    assert left_out.path.name == "5.pt"
    assert "5.pt: cannot be read as a checkpoint" in left_out.problem
    assert isinstance(left_out.error, DataError)
    assert heard == [(0, 10), (3, 10), (6, 10), (9, 10), (10, 10)]

    table = pq.read_table(out)
    assert table.column("rnn").to_pylist() == result.names
    assert table.column("z3").to_pylist() == result.vectors[:, 3].tolist()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoints", "vectors.parquet"]


def test_without_a_table_the_same_comes_portion_by_portion(rnn2vec: Rnn2Vec, folder: Path, tmp_path: Path) -> None:
    files = checkpoint_files([folder])
    parts = list(embed_files(rnn2vec, files))
    whole = embed_files_to(tmp_path / "v.parquet", rnn2vec, files)
    assert [len(part.names) for part in parts] == [3, 2, 3, 1]
    _require_equal(joined(parts), whole)


def _require_equal(one: Embedded, other: Embedded) -> None:
    assert one.names == other.names
    assert one.left_out == other.left_out
    np.testing.assert_array_equal(one.vectors, other.vectors)


def test_a_zoo_and_an_empty_folder_are_files_too(rnn2vec: Rnn2Vec, tiny_zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = joined(embed_files(rnn2vec, [tmp_path / "empty", tiny_zoo.folder]))
    assert result.names == [f"{tiny_zoo.folder}#{number}" for number in range(len(tiny_zoo))]
    assert "empty holds no checkpoint files (.safetensors, .pt" in result.left_out[0].problem
    assert isinstance(result.left_out[0].error, UsageError)


def test_an_error_of_the_disk_leaves_one_file_out(
    rnn2vec: Rnn2Vec, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path, **_: Any) -> RNNStack:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    monkeypatch.setattr(reading, "read_rnn", broken)
    result = joined(embed_files(rnn2vec, checkpoint_files([folder])))
    assert result.names == []
    assert [one.problem.endswith(": Input/output error") for one in result.left_out] == [True] * 10


# -- going on --------------------------------------------------------------------------------------


@pytest.mark.parametrize("killed_at", [0, 4, 9])
def test_after_a_kill_only_the_rest_is_read(
    rnn2vec: Rnn2Vec, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int
) -> None:
    files, out = checkpoint_files([folder]), tmp_path / "vectors.parquet"
    uninterrupted = embed_files_to(tmp_path / "other.parquet", rnn2vec, files)
    with monkeypatch.context() as patch:
        _count_reads(patch, fail_at=killed_at)
        with pytest.raises(KeyboardInterrupt):
            embed_files_to(out, rnn2vec, files)
    assert not out.exists()
    parts = sorted((tmp_path / "vectors.parquet.parts").glob("*.parquet"))
    assert len(parts) == killed_at // 3

    read = _count_reads(monkeypatch)
    _require_equal(embed_files_to(out, rnn2vec, files), uninterrupted)
    assert read == files[3 * (killed_at // 3) :]
    assert out.read_bytes() == (tmp_path / "other.parquet").read_bytes()


def _interrupted(rnn2vec: Rnn2Vec, files: list[Path], out: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with monkeypatch.context() as patch:
        _count_reads(patch, fail_at=7)
        with pytest.raises(KeyboardInterrupt):
            embed_files_to(out, rnn2vec, files)
    return out.with_name(f"{out.name}.parts")


@pytest.mark.parametrize("change", ["a file", "the files", "a hint", "the model", "the plan"])
def test_parts_of_another_plan_are_made_again(
    rnn2vec: Rnn2Vec, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    files, out = checkpoint_files([folder]), tmp_path / "vectors.parquet"
    parts = _interrupted(rnn2vec, files, out, monkeypatch)
    hints: dict[str, Any] = {"cell": None}
    if change == "a file":
        shutil.copy(folder / "early" / "1.pt", folder / "early" / "4.safetensors")
    elif change == "the files":
        files = files[1:]
    elif change == "a hint":
        hints = {"ignore": ()}
    elif change == "the model":
        rnn2vec = Rnn2Vec.from_pretrained(folder.parent / _other_model(rnn2vec, folder.parent))
    else:
        (parts / PLAN).write_text("torn")
    read = _count_reads(monkeypatch)
    embed_files_to(out, rnn2vec, files, **hints)
    assert read == files


def _other_model(rnn2vec: Rnn2Vec, folder: Path) -> str:
    rnn2vec.save(folder / "model")
    rewrite_weights(
        folder / "model" / "model.safetensors", lambda weights: weights["encoder.to_representation.bias"].add_(1)
    )
    return "model"


def test_a_damaged_part_is_made_again(
    rnn2vec: Rnn2Vec, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, out = checkpoint_files([folder]), tmp_path / "vectors.parquet"
    parts = _interrupted(rnn2vec, files, out, monkeypatch)
    next(parts.glob("00001.*.parquet")).write_bytes(b"PAR1")
    read = _count_reads(monkeypatch)
    embed_files_to(out, rnn2vec, files)
    assert read == files[3:]


def test_a_folder_of_other_things_in_the_place_of_the_parts_is_left_alone(
    rnn2vec: Rnn2Vec, folder: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "v.parquet.parts" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(UsageError, match=r"v\.parquet\.parts exists and is not a folder of parts of an embedding"):
        embed_files_to(tmp_path / "v.parquet", rnn2vec, checkpoint_files([folder]))
    assert mine.read_text() == "mine"


def test_a_full_disk_keeps_the_parts(
    rnn2vec: Rnn2Vec, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, out = checkpoint_files([folder]), tmp_path / "vectors.parquet"
    flushes: list[int] = []

    def full(_: int) -> None:
        flushes.append(1)
        if len(flushes) >= 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(
            StorageError, match=r"00002\.[0-9a-f]{64}\.parquet could not be written(.|\n)*what was finished is kept"
        ):
            embed_files_to(out, rnn2vec, files)
    read = _count_reads(monkeypatch)
    embed_files_to(out, rnn2vec, files)
    assert read == files[6:]


def test_where_all_are_left_out_no_table_is_written(rnn2vec: Rnn2Vec, tmp_path: Path) -> None:
    result = embed_files_to(tmp_path / "v.parquet", rnn2vec, [tmp_path / "missing.pt"])
    assert result.vectors.shape == (0, 16)
    assert list(tmp_path.iterdir()) == []


def test_a_file_whose_finite_weights_overflow_in_its_answers_is_named_and_the_others_go_on(
    rnn2vec: Rnn2Vec, random_rnns: Callable[..., RNNStack], tmp_path: Path
) -> None:
    spec = RNNSpec(cell="lstm", input_size=6, hidden_size=8, num_layers=1, output_size=6)
    stack = random_rnns(spec, 3)
    stack.weights["rnn.bias_ih_l0"][1] = 5.0  # its hidden units are far from 0
    stack.weights["readout.weight"][1] = stack.weights["readout.bias"][1] = 3e38
    for number, module in enumerate(stack.to_modules()):
        safetensors.torch.save_file(module.state_dict(), tmp_path / f"{number}.safetensors")
    parts = list(embed_files(rnn2vec, sorted(tmp_path.glob("*.safetensors"))))
    names = [Path(name).name for part in parts for name in part.names]
    (left,) = [one for part in parts for one in part.left_out]
    assert names == ["0.safetensors", "2.safetensors"]
    assert left.path.name == "1.safetensors"
    assert "NaN or infinite numbers" in left.error.problem
