"""`rnn2vec study imitation`: the number and the figure of a run."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from rnn2vec.cli import main
from rnn2vec.zoo.build import build_zoo
from rnn2vec.zoo.store import Zoo

Captured = pytest.CaptureFixture[str]


def test_table_figures_and_numbers(tiny_zoo: Zoo, tiny_run: Path, tmp_path: Path, capsys: Captured) -> None:
    out = tmp_path / "imitation"
    command = [
        "study",
        "imitation",
        str(tiny_zoo.folder),
        "--model",
        str(tiny_run),
        "--episodes",
        "3",
        "--out",
        str(out),
    ]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert said.startswith((out / "imitation.md").read_text())
    assert "**unseen tasks**" in said
    assert "**unusual tasks (OOD)**" in said
    result = json.loads((out / "imitation.json").read_text())
    assert set(result["imitation"]) == {"validation", "ood"}
    assert result["imitation"]["ood"]["run"]["num_episodes"] == 3
    assert result["provenance"]["rnn2vec"]
    assert sorted(path.name for path in out.iterdir()) == [
        "imitation.json",
        "imitation.md",
        "ood.svg",
        "validation.svg",
    ]

    assert main([*command, "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == result
    assert captured.err == ""


def test_wrong_calls_write_nothing(tiny_zoo: Zoo, tiny_run: Path, tmp_path: Path, capsys: Captured) -> None:
    config = dataclasses.replace(tiny_zoo.manifest.config, num_runs=3, num_steps=2)
    other = build_zoo(config, tmp_path / "other")
    for zoo, runs, message in (
        (tiny_zoo, [tiny_run, tiny_run], "give folders with different names"),
        (tiny_zoo, [tmp_path / "none"], "is not a model"),
        (other, [tiny_run], "was pre-trained on a zoo other than"),
    ):
        command = ["study", "imitation", str(zoo.folder), "--out", str(tmp_path / "x"), "--model"]
        assert main([*command, *map(str, runs)]) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "x").exists()
