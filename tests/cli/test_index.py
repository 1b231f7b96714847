"""`rnn2vec index`, `inspect`, `diff` and `track`, as people type them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from rnn2vec.cli import main
from rnn2vec.index.index import Index
from rnn2vec.zoo.store import Zoo

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def folder(tiny_zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints `step_0.pt`, `step_9.pt`, `step_10.pt`, a broken one apart, and properties of the first two."""
    folder = tmp_path_factory.mktemp("checkpoints")
    (folder / "run").mkdir()
    for step, module in zip((0, 9, 10), tiny_zoo.rnns([0, 1, 1]).to_modules(), strict=True):
        torch.save(module.state_dict(), folder / "run" / f"step_{step}.pt")
    (folder / "torn.pt").write_bytes(b"no")
    lines = [f"{folder}/run/step_{step}.pt,{step / 10}" for step in (0, 9)]
    (folder / "properties.csv").write_text("\n".join(["rnn,age", *lines]))
    return folder


@pytest.fixture(scope="module")
def built(tiny_zoo: Zoo, tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of the tiny zoo. Read only."""
    out = tmp_path_factory.mktemp("built") / "index"
    assert main(["index", "build", str(tiny_zoo.folder), "--model", str(tiny_run), "--out", str(out), "--json"]) == 0
    return out


def said(arguments: list[str], capsys: Captured, code: int = 0) -> str:
    assert main(arguments) == code
    return capsys.readouterr().out


def refused(arguments: list[str], capsys: Captured, code: int = 2) -> str:
    assert main(arguments) == code
    return capsys.readouterr().err


def test_an_index_is_built_added_to_and_goes_on(folder: Path, tiny_run: Path, tmp_path: Path, capsys: Captured) -> None:
    out = tmp_path / "index"
    build = ["index", "build", str(folder / "run" / "step_0.pt"), "--model", str(tiny_run), "--out", str(out)]
    options = ["--properties", str(folder / "properties.csv")]
    assert said([*build, *options], capsys) == f"{out}: 1 RNNs added, 1 in all\n"
    assert said([*build, *options], capsys) == f"{out}: 0 RNNs added, 1 in all\n"
    error = refused(["index", "add", str(out), str(folder), *options], capsys, code=1)
    assert f"left out: {folder / 'torn.pt'}: cannot be read as a checkpoint: " in error
    assert "1 of 4 checkpoints could not be added (see above); the others were" in error
    index = Index.open(out)
    assert [Path(name).name for name in index.names] == ["step_0.pt", "step_10.pt", "step_9.pt"]
    assert index.table.column("age").to_pylist() == [0.0, None, 0.9]


def test_queries_by_checkpoint_by_name_and_by_vector(
    built: Path, folder: Path, tiny_zoo: Zoo, tmp_path: Path, capsys: Captured
) -> None:
    checkpoint = str(folder / "run" / "step_9.pt")
    (first, *_) = json.loads(said(["index", "query", str(built), checkpoint, "--json"], capsys))["neighbours"][0]
    assert first["rnn"] == f"{tiny_zoo.folder}#1"
    np.save(tmp_path / "vector.npy", Index.open(built).vectors[1])
    for options in (["--rnn", f"{tiny_zoo.folder}#1"], ["--vector", str(tmp_path / "vector.npy")]):
        text = said(["index", "query", str(built), *options, "--number", "2", "--where", "split = train"], capsys)
        head, *rows = text.splitlines()
        assert len(rows) == 2
        assert all(name in head for name in ("split", "task"))
        assert all("train" in row and "a^n" in row for row in rows)
    assert "2 things to search for" in refused(["index", "query", str(built), checkpoint, "--rnn", "x"], capsys)
    assert "is no NumPy file" in refused(["index", "query", str(built), "--vector", checkpoint], capsys)


def test_what_an_index_says_about_its_rnns(built: Path, tiny_zoo: Zoo, capsys: Captured) -> None:
    number = len(tiny_zoo)
    assert f"{number} RNNs" in said(["index", "info", str(built)], capsys)
    outliers = said(["index", "outliers", str(built), "--rate", "0.1"], capsys)
    assert f"of {number} RNNs are flagged. Were all ordinary, at most " in outliers
    chosen = said(["index", "outliers", str(built), "--columns", "step"], capsys).splitlines()
    head = next(line for line in chosen if line.startswith("RNN"))
    assert head.split() == ["RNN", "distance", "x", "median", "p", "step"]
    assert "unknown column 'stop'" in refused(["index", "outliers", str(built), "--columns", "stop"], capsys)
    assert "groups of near-duplicates" in said(["index", "duplicates", str(built)], capsys)
    clusters = json.loads(said(["index", "clusters", str(built), "--number", "2", "--json"], capsys))["clusters"]
    assert sum(len(cluster["rnns"]) for cluster in clusters) == number


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["index", "info", "nowhere"], "nowhere is not an index: it does not exist"),
        (["embed", "x.pt", "--model", "m", "--inputs", "x.npy"], "--inputs or --output-kind beside --model"),
        (["track", "nowhere", "--model", "x"], "unknown model or folder 'x'"),
        (["fit", "nowhere", "--inputs", "x.npy", "--out", "x"], "nowhere"),
        (["track", ".", "--model", "x", "--fail-above", "-1"], "--fail-above -1.0"),
    ],
)
def test_wrong_calls_are_code_2(arguments: list[str], words: str, capsys: Captured) -> None:
    error = refused(arguments, capsys)
    assert words in error
    assert "\n  -> " in error


def test_without_a_model_a_folder_is_judged_at_once(folder: Path, tmp_path: Path, capsys: Captured) -> None:
    run = str(folder / "run")
    assert main(["embed", run]) == 0
    said_out, said_err = capsys.readouterr()
    assert len(said_out.splitlines()) == 3
    assert "no model given: RNNs are compared by their answers to 16 sequences of 32 steps" in said_err
    assert "give --inputs FILE for your own" in said_err
    np.save(tmp_path / "tokens.npy", np.random.default_rng(0).integers(6, size=(9, 12)))
    inputs = ["--inputs", str(tmp_path / "tokens.npy")]
    groups = json.loads(said(["index", "duplicates", str(folder), *inputs, "--json"], capsys))
    assert [Path(name).name for name in groups["groups"][0]] == ["step_10.pt", "step_9.pt"]
    assert [one["kind"] for one in groups["verdicts"].values()] == ["identical"]
    out = str(tmp_path / "index")
    assert "3 in all" in said(["index", "build", run, "--out", out, *inputs], capsys)
    assert "0 RNNs added, 3 in all" in said(["index", "build", run, "--out", out], capsys)
    card = json.loads(said(["inspect", f"{run}/step_0.pt", "--index", out, "--json"], capsys))
    assert card["neighbours"][0]["rnn"] == f"{run}/step_0.pt"
    lines = said(["track", f"{run}/step_9.pt", f"{run}/step_0.pt", *inputs], capsys).splitlines()
    assert [line.split()[0] for line in lines[1:]] == [f"{run}/step_0.pt", f"{run}/step_9.pt"]


def test_fit_trains_on_a_folder_and_leaves_out_what_is_broken(folder: Path, tmp_path: Path, capsys: Captured) -> None:
    np.save(tmp_path / "tokens.npy", np.random.default_rng(0).integers(6, size=(9, 6)))
    call = ["fit", str(folder), "--inputs", str(tmp_path / "tokens.npy"), "--out", str(tmp_path / "run")]
    assert main([*call, "--time-budget", "0.001"]) == 0
    out, error = capsys.readouterr()
    assert "2 RNNs trained on, 1 held out (lstm 2x32, 6 inputs, 6 outputs)" in out
    assert "left out: " in error
    assert "torn.pt" in error
    assert said(["index", "build", str(folder / "run"), "--model", str(tmp_path / "run"), "--out",
                 str(tmp_path / "index")], capsys)  # fmt: skip


def test_properties_must_name_the_rnns(folder: Path, built: Path, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "bad.csv").write_text("name,age\na,1")
    arguments = ["index", "add", str(built), str(folder / "run"), "--properties", str(tmp_path / "bad.csv")]
    assert "has no column rnn, but name, age" in refused(arguments, capsys)
    assert "holds no checkpoint" in refused(["index", "add", str(built), str(tmp_path)], capsys)


def test_inspect_shows_a_card(built: Path, folder: Path, tiny_run: Path, capsys: Captured) -> None:
    checkpoint = str(folder / "run" / "step_9.pt")
    text = said(["inspect", checkpoint, "--index", str(built), "--model", str(tiny_run)], capsys)
    assert text.startswith(f"{checkpoint}\nlstm 2x32, 6 inputs")
    assert "most like" in text
    assert "asked, and answered" in text
    assert json.loads(said(["inspect", checkpoint, "--model", str(tiny_run), "--json"], capsys))["neighbours"] == []


def test_diff_shows_where_two_differ(folder: Path, tiny_run: Path, tmp_path: Path, capsys: Captured) -> None:
    one, other, same = (str(folder / "run" / f"step_{step}.pt") for step in (0, 9, 10))
    common = ["--model", str(tiny_run), "--margin", "0.2", "--max-length", "6"]
    text = said(["diff", one, other, *common], capsys)
    assert "the shortest input on which they disagree" in text
    assert "\n    ^" in text  # by the tokens' names
    assert "on 200 natural inputs they disagree somewhere in" in text
    result = json.loads(said(["diff", other, same, *common, "--json"], capsys))
    assert (result["verdict"]["kind"], result["shortest"], result["natural"]) == ("identical", None, None)
    np.save(tmp_path / "tokens.npy", np.array([[4, 0, 0, 1]]))
    text = said(["diff", one, other, *common, "--inputs", str(tmp_path / "tokens.npy")], capsys)
    assert "on 1 natural inputs" in text


def test_track_measures_and_fails_above(folder: Path, tiny_run: Path, capsys: Captured) -> None:
    track = ["track", str(folder / "run"), "--model", str(tiny_run)]
    lines = said(track, capsys).splitlines()
    assert [line.split()[0] for line in lines] == ["checkpoint", "step_0.pt", "step_9.pt", "step_10.pt"]
    result = json.loads(said([*track, "--json"], capsys))
    assert result["last"] == pytest.approx(0, abs=1e-6)
    assert result["from_previous"][1] > 0.01
    assert said([*track, "--fail-above", "0.001"], capsys)
    gate = [*track, "--reference", "step_0.pt", "--fail-above", "0.001"]
    error = refused(gate, capsys, code=1)
    assert "step_10.pt is " in error
    assert "from step_0.pt, more than 0.001\n  -> see what changed with `rnn2vec diff`" in error
    assert json.loads(said([*gate, "--json"], capsys, code=1))["last"] > 0.001
