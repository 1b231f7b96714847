"""`rnn2vec embed`: one bad checkpoint among good ones is named, the others are embedded, and nothing is lost."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch

from rnn2vec.cli import main
from rnn2vec.embedding import reading
from rnn2vec.embedding.rnn2vec import Rnn2Vec
from rnn2vec.emulation.config import preset
from rnn2vec.emulation.pretrain import pretrain
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.zoo.build import build_zoo
from rnn2vec.zoo.config import ZooConfig
from rnn2vec.zoo.store import Zoo

Captured = pytest.CaptureFixture[str]
MakeRNNs = Callable[..., RNNStack]


@pytest.fixture
def good(tiny_zoo: Zoo, tmp_path: Path) -> list[str]:
    """Two checkpoints that fit the encoder."""
    paths = [tmp_path / "first.pt", tmp_path / "second.safetensors"]
    first, second = tiny_zoo.rnns([0, 1]).to_modules()
    torch.save({"state_dict": first.state_dict(), "epoch": 3}, paths[0])
    safetensors.torch.save_file(second.state_dict(), paths[1])
    return [str(path) for path in paths]


@pytest.fixture
def bad(random_rnns: MakeRNNs, tiny_zoo: Zoo, tmp_path: Path) -> dict[str, str]:
    """Checkpoints that cannot be embedded, and what is said of them."""
    (tmp_path / "torn.pt").write_bytes(b"PK\x03\x04 not a checkpoint")
    torch.save({"weight_hh_l0": torch.zeros(10, 4), "readout.weight": torch.zeros(2, 4)}, tmp_path / "odd.pt")
    diverged = tiny_zoo.rnns([0]).to_modules()[0].state_dict()
    diverged["readout.bias"][0] = torch.inf
    torch.save(diverged, tmp_path / "diverged.pt")
    other = RNNSpec(cell="gru", input_size=7, hidden_size=4, num_layers=1, output_size=6)
    torch.save(random_rnns(other, 1).to_modules()[0].state_dict(), tmp_path / "other.pt")
    (tmp_path / "folder.pt").mkdir()
    said = {
        "torn.pt": "cannot be read as a checkpoint",
        "odd.pt": "which fits no cell",
        "diverged.pt": "NaN or infinite numbers in readout.bias",
        "other.pt": "7 categorical inputs",
        "folder.pt": "holds no checkpoint files",
        "missing.pt": "is not a file",
    }
    return {str(tmp_path / name): words for name, words in said.items()}


def _refused(arguments: list[str], capsys: Captured) -> tuple[int, str]:
    code = main(arguments)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    assert "\n  -> " in captured.err
    return code, captured.err


# -- bad among good --------------------------------------------------------------------------------


def test_each_bad_one_is_named_and_the_good_ones_are_embedded(
    good: list[str], bad: dict[str, str], tiny_zoo: Zoo, tiny_run: Path, tmp_path: Path, capsys: Captured
) -> None:
    out = tmp_path / "vectors.parquet"
    assert main(["embed", *list(bad)[:3], *good, *list(bad)[3:], "--model", str(tiny_run), "--out", str(out)]) == 1
    captured = capsys.readouterr()
    assert captured.out == f"{out}: 2 RNNs, 16 numbers each\n"
    for path, words in bad.items():
        (line,) = [line for line in captured.err.splitlines() if line.startswith(f"left out: {path}")]
        assert words in line
    assert "rnn2vec: 6 of 8 checkpoints could not be embedded (see above)\n  -> mend them" in captured.err

    table = pq.read_table(out)
    assert table.column_names == ["rnn", *(f"z{place}" for place in range(16))]
    assert table.column("rnn").to_pylist() == good
    vectors = np.stack([table.column(name).to_numpy() for name in table.column_names[1:]], axis=1)
    expected = Rnn2Vec.from_pretrained(tiny_run).embed(tiny_zoo.rnns([0, 1]))
    np.testing.assert_allclose(vectors, expected, rtol=0, atol=1e-6)


def test_machines_get_the_others_and_the_reasons(
    good: list[str], bad: dict[str, str], tiny_run: Path, capsys: Captured
) -> None:
    assert main(["embed", *good, *bad, "--model", str(tiny_run), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["rnns"] == good
    assert [len(vector) for vector in document["vectors"]] == [16, 16]
    for problem, (path, words) in zip(document["left_out"], bad.items(), strict=True):
        assert path in problem
        assert words in problem


def test_where_all_are_bad_nothing_is_written(
    bad: dict[str, str], tiny_run: Path, tmp_path: Path, capsys: Captured
) -> None:
    out = tmp_path / "vectors.parquet"
    code, message = _refused(["embed", *bad, "--model", str(tiny_run), "--out", str(out)], capsys)
    assert code == 1
    assert "6 of 6 checkpoints" in message
    assert not out.exists()


@pytest.mark.parametrize(
    ("name", "code"), [("missing.pt", 2), ("odd.pt", 2), ("other.pt", 2), ("torn.pt", 1), ("diverged.pt", 1)]
)
def test_one_alone_ends_with_its_own_code(
    bad: dict[str, str], tiny_run: Path, tmp_path: Path, capsys: Captured, name: str, code: int
) -> None:
    path = str(tmp_path / name)
    found, message = _refused(["embed", path, "--model", str(tiny_run)], capsys)
    assert found == code
    assert message.startswith(f"rnn2vec: {path}")
    assert bad[path] in message


# -- an encoder that reads weights -----------------------------------------------------------------


def test_an_encoder_of_another_architecture_names_both(tmp_path: Path, random_rnns: MakeRNNs, capsys: Captured) -> None:
    config = ZooConfig(num_runs=2, num_steps=1, hidden_size=3, num_rollouts=1, num_episodes=1, backend="torch")
    zoo = build_zoo(config, tmp_path / "zoo")
    options = {"num_steps": 1, "encoder_options": {"hidden_size": 4}, "validation_rollouts": 1}
    pretrain(zoo, dataclasses.replace(preset("tiny", "flattened-weights"), **options), tmp_path / "run")
    other = RNNSpec(cell="lstm", input_size=6, hidden_size=5, num_layers=2, output_size=6)
    path = tmp_path / "other.pt"
    torch.save(random_rnns(other, 1).to_modules()[0].state_dict(), path)

    code, message = _refused(["embed", str(path), "--model", str(tmp_path / "run")], capsys)
    assert code == 2
    assert message.startswith(f"rnn2vec: {path}: the RNNs are lstm 2x5, ")
    assert "this flattened-weights encoder reads lstm 2x3, " in message
    assert "a probing encoder" in message
    assert main(["embed", str(zoo.folder), "--model", str(tmp_path / "run"), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["vectors"]) == 4


# -- forms -----------------------------------------------------------------------------------------


def test_people_get_a_line_for_each_and_machines_one_document(
    good: list[str], tiny_run: Path, capsys: Captured
) -> None:
    assert main(["embed", *good, "--model", str(tiny_run)]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["rnn"] for line in lines] == good
    assert main(["embed", *good, "--model", str(tiny_run), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    vectors = [line["vector"] for line in lines]
    assert document == {"rnns": good, "vectors": vectors, "assumed": {}, "companions": 0}


def test_zoos_and_checkpoints_keep_their_order(
    good: list[str], tiny_zoo: Zoo, tiny_run: Path, capsys: Captured
) -> None:
    assert main(["embed", good[1], str(tiny_zoo.folder), good[0], "--model", str(tiny_run), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    numbered = [f"{tiny_zoo.folder}#{number}" for number in range(len(tiny_zoo))]
    assert document["rnns"] == [good[1], *numbered, good[0]]
    vectors = np.array(document["vectors"])
    np.testing.assert_allclose(vectors[[0, -1]], vectors[[2, 1]], rtol=0, atol=1e-6)


def test_the_cell_can_be_given(random_rnns: MakeRNNs, tiny_run: Path, tmp_path: Path, capsys: Captured) -> None:
    spec = RNNSpec(cell="rnn_relu", input_size=6, hidden_size=4, num_layers=1, output_size=6)
    stack, path = random_rnns(spec, 1), tmp_path / "relu.pt"
    torch.save(stack.to_modules()[0].state_dict(), path)
    code, message = _refused(["embed", str(path), "--model", str(tiny_run)], capsys)
    assert code == 2
    assert "rnn_tanh and rnn_relu alike" in message

    assert main(["embed", str(path), "--model", str(tiny_run), "--cell", "rnn_relu", "--json"]) == 0
    (vector,) = json.loads(capsys.readouterr().out)["vectors"]
    np.testing.assert_allclose(vector, Rnn2Vec.from_pretrained(tiny_run).embed(stack)[0], rtol=0, atol=1e-6)


def test_a_folder_is_searched_and_goes_on_after_an_interruption(
    good: list[str], tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    folder, out = tmp_path / "checkpoints" / "deep", tmp_path / "vectors.parquet"
    folder.mkdir(parents=True)
    names = [shutil.copy(path, folder) for path in good]
    (folder / "torn.pt").write_bytes(b"PK")
    arguments = ["embed", str(folder.parent), "--model", str(tiny_run), "--out", str(out)]
    monkeypatch.setattr(reading, "_RNNS_AT_ONCE", 1)
    load_rnn, read = reading.read_rnn, []

    def interrupted(path: Path, **hints: object) -> RNNStack:
        read.append(path.name)
        if len(read) == 2:
            raise KeyboardInterrupt
        return load_rnn(path, **hints)

    monkeypatch.setattr(reading, "read_rnn", interrupted)
    assert main(arguments) == 130
    assert "rerun the command to resume" in capsys.readouterr().err
    assert main(arguments) == 1
    assert read == ["first.pt", "second.safetensors", "second.safetensors", "torn.pt"]
    said = capsys.readouterr()
    assert said.out == f"{out}: 2 RNNs, 16 numbers each\n"
    assert "embedding: 100%" in said.err
    assert f"left out: {folder / 'torn.pt'}: cannot be read as a checkpoint: " in said.err
    assert pq.read_table(out).column("rnn").to_pylist() == names


def test_heads_can_be_left_out_by_name(tiny_zoo: Zoo, tiny_run: Path, tmp_path: Path, capsys: Captured) -> None:
    state_dict = tiny_zoo.rnns([0]).to_modules()[0].state_dict()
    torch.save(state_dict | {"critic.weight": torch.zeros(1, 32), "critic.bias": torch.zeros(1)}, tmp_path / "a.pt")
    arguments = ["embed", str(tmp_path / "a.pt"), "--model", str(tiny_run), "--json"]
    assert main(arguments) == 2
    assert "7 categorical outputs" in capsys.readouterr().err  # both heads beside each other
    assert main([*arguments, "--ignore", "critic.*"]) == 0
    (vector,) = json.loads(capsys.readouterr().out)["vectors"]
    expected = Rnn2Vec.from_pretrained(tiny_run).embed(tiny_zoo.rnns([0]))[0]
    np.testing.assert_allclose(vector, expected, rtol=0, atol=1e-6)


# -- wrong calls -----------------------------------------------------------------------------------


def test_without_checkpoints_there_is_nothing_to_do(tiny_run: Path, capsys: Captured) -> None:
    code, message = _refused(["embed", "--model", str(tiny_run)], capsys)
    assert code == 2
    assert message == "rnn2vec: no checkpoint was given\n  -> name at least one checkpoint file, folder or zoo.\n"


@pytest.mark.parametrize(
    ("model", "words"), [("no-such", "unknown model or folder 'no-such'"), (".", "is not a model")]
)
def test_a_model_that_is_none_is_code_2(
    good: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured, model: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, message = _refused(["embed", *good, "--model", model], capsys)
    assert code == 2
    assert words in message
    assert "rnn2vec pretrain --out" in message


def test_a_damaged_model_is_code_1(good: list[str], tiny_run: Path, tmp_path: Path, capsys: Captured) -> None:
    folder = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    (folder / "model.safetensors").write_bytes(b"")
    code, message = _refused(["embed", *good, "--model", str(folder)], capsys)
    assert code == 1
    assert f"{folder} holds no readable model" in message


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("first.pt", "ends in neither .parquet nor .csv"),
        ("taken.parquet", "exists and does not hold vectors of RNNs; it was not touched"),
        ("sub.csv", "exists and is a folder; it was not touched"),
        ("nowhere/vectors.parquet", "nowhere is not a folder"),
    ],
)
def test_an_output_that_cannot_be_is_refused_before_the_work(
    good: list[str], tiny_run: Path, tmp_path: Path, capsys: Captured, out: str, words: str
) -> None:
    (tmp_path / "sub.csv").mkdir()
    (tmp_path / "taken.parquet").write_text("something else")
    before = Path(good[0]).read_bytes()
    code, message = _refused(["embed", *good, "--model", str(tiny_run), "--out", str(tmp_path / out)], capsys)
    assert code == 2
    assert words in message
    assert "--out" in message
    assert Path(good[0]).read_bytes() == before


def test_vectors_from_before_are_replaced(good: list[str], tiny_run: Path, tmp_path: Path, capsys: Captured) -> None:
    out = tmp_path / "vectors.parquet"
    pq.write_table(pa.table({"old": [1]}), out)
    assert main(["embed", *good, "--model", str(tiny_run), "--out", str(out)]) == 0
    assert pq.read_table(out).column("rnn").to_pylist() == good
    capsys.readouterr()


def test_a_full_disk_keeps_the_vectors_from_before(
    good: list[str], tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    out = tmp_path / "vectors.parquet"
    pq.write_table(pa.table({"old": [1]}), out)
    before = out.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    code, message = _refused(["embed", *good, "--model", str(tiny_run), "--out", str(out)], capsys)
    assert code == 1
    assert f"{out}.parts/plan.json could not be written" in message
    assert "no space left" in message
    assert out.read_bytes() == before
