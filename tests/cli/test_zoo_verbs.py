"""`rnn2vec zoo build | info | verify`, for people and for machines."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from rnn2vec.cli import main
from rnn2vec.zoo.config import PRESETS, ZooConfig
from rnn2vec.zoo.store import Zoo

Captured = pytest.CaptureFixture[str]


def test_build_shows_progress_on_stderr_and_the_card_on_stdout(
    build: list[str], tmp_path: Path, capsys: Captured
) -> None:
    out = tmp_path / "zoos" / "fl"
    assert main([*build, "--out", str(out)]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(f"{out}: 6 RNNs")
    assert f"build {out}: 100%, " in captured.err
    assert captured.err.splitlines()[0] == f"build {out}:   0%, time left unknown yet (shard 1 of 2)"
    assert Zoo.open(out).is_complete


def test_the_options_are_the_config(build: list[str], folder: Path) -> None:
    config = Zoo.open(folder).manifest.config
    expected = dataclasses.replace(
        PRESETS["tiny"], num_runs=3, num_steps=20, hidden_size=8, num_episodes=20, num_rollouts=5, runs_per_shard=2
    )
    assert dataclasses.replace(config, backend="auto", family_options={}) == expected
    assert config.backend == "numba"
    assert "--preset" in build


def test_every_option_reaches_the_zoo(tmp_path: Path) -> None:
    arguments = {
        "runs": 2, "steps": 3, "cell": "gru", "hidden-size": 5, "layers": 1, "episodes": 7, "rollouts": 4,
        "runs-per-shard": 1, "backend": "torch", "seed": 9, "device": "cpu",
    }  # fmt: skip
    options = [text for name, value in arguments.items() for text in (f"--{name}", str(value))]
    assert main(["zoo", "build", "formal-languages", "--out", str(tmp_path / "zoo"), *options, "--json"]) == 0
    zoo = Zoo.open(tmp_path / "zoo")
    assert zoo.manifest.config == ZooConfig(
        family_options=zoo.family.options(), num_runs=2, num_steps=3, cell="gru", hidden_size=5, num_layers=1,
        num_episodes=7, num_rollouts=4, runs_per_shard=1, backend="torch", seed=9,
    )  # fmt: skip
    assert str(zoo.spec) == "gru 1x5, 6 inputs, 6 outputs"


def test_build_for_machines_is_json_and_nothing_else(build: list[str], tmp_path: Path, capsys: Captured) -> None:
    assert main([*build, "--out", str(tmp_path / "zoo"), "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["rnns"] == 6
    assert captured.err == ""


def test_build_given_again_changes_nothing(build: list[str], folder: Path, capsys: Captured) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert main([*build, "--out", str(folder)]) == 0
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert capsys.readouterr().err.splitlines() == [f"build {folder}: 100%, 0 s in all (done)"]


def test_info_for_people_and_machines_says_the_same(folder: Path, capsys: Captured) -> None:
    assert main(["zoo", "info", str(folder)]) == 0
    text = capsys.readouterr().out
    assert main(["zoo", "info", str(folder), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert text.startswith(f"{folder}: {summary['rnns']} RNNs")
    for words in (summary["architecture"], summary["ood_rule"], f"{summary['runs']}, {summary['steps']} steps each"):
        assert words in text
    assert [snapshot["step"] for snapshot in summary["snapshots"]] == [0, 20]


def test_verify_for_people_and_machines(folder: Path, capsys: Captured) -> None:
    assert main(["zoo", "verify", str(folder)]) == 0
    assert capsys.readouterr().out == f"{folder} is intact and complete; 6 of 6 RNNs were rolled out again\n"
    assert main(["zoo", "verify", str(folder), "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"zoo": str(folder), "problems": [], "recomputed": 6}
    assert captured.err == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_builds(name: str, tmp_path: Path) -> None:
    """Two runs of four steps; everything else is the preset's."""
    out = tmp_path / "zoo"
    arguments = ["--preset", name, "--runs", "2", "--steps", "4", "--out", str(out), "--json"]
    assert main(["zoo", "build", "formal-languages", *arguments]) == 0
    zoo = Zoo.open(out)
    assert len(zoo) == 4
    shrunk = dataclasses.replace(PRESETS[name], num_runs=2, num_steps=4)
    assert dataclasses.replace(zoo.manifest.config, backend="auto", family_options={}) == shrunk
    assert main(["zoo", "verify", str(out)]) == 0
