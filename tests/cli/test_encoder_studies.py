"""`rnn2vec study`: tables, a figure and all numbers, of untrained and of trained encoders."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from rnn2vec.cli import main
from rnn2vec.zoo.store import Zoo

FEW = ["--encoders", "dwsnet", "interactive-probing", "--preset", "tiny"]


def test_invariance_untrained_and_trained(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "study"
    assert main(["study", "invariance", str(folder), "--out", str(out), *FEW, "--steps", "2", "--rnns", "3"]) == 0
    said = capsys.readouterr().out
    assert "**untrained**" in said
    assert "**trained for 2 updates**" in said
    assert said.startswith((out / "invariance.md").read_text())

    result = json.loads((out / "invariance.json").read_text())
    for table in result["movements"].values():
        assert list(table) == ["RNN", "dwsnet", "interactive-probing"]
        assert all(row["complete"]["largest"] < 1e-10 for row in table.values())
        assert all(row["without input rows"]["largest"] > 1e-10 for row in table.values())
    assert result["provenance"]["rnn2vec"]
    texts = {"".join(node.itertext()) for node in ET.parse(out / "invariance.svg").iter() if "text" in node.tag}
    assert {"unmoved", "dwsnet", "complete", "untrained"} <= texts


def test_what_augmentation_does_is_told_apart_from_what_training_does(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "study"
    arguments = ["--encoders", "flattened-weights", "interactive-probing", "--preset", "tiny", "--rnns", "3"]
    assert main(["study", "invariance", str(folder), "--out", str(out), *arguments, "--steps", "2"]) == 0
    capsys.readouterr()

    result = json.loads((out / "invariance.json").read_text())
    states = ["untrained", "trained for 2 updates", "trained for 2 updates without augmentation"]
    assert sorted(result["movements"]) == sorted(states)
    medians = [result["movements"][state]["flattened-weights"]["complete"]["median"] for state in states]
    assert len(set(medians)) == 3
    assert set(result["validation_losses"][states[1]]) == {"flattened-weights", "interactive-probing"}
    assert set(result["validation_losses"][states[2]]) == set(result["movements"][states[2]]) - {"RNN"}
    ratio = f"| {medians[1] / medians[0]:.2f} |"
    rows = [line for line in (out / "invariance.md").read_text().splitlines() if f"| complete | {states[1]} |" in line]
    assert len(rows) == 1
    assert rows[0].startswith("| flattened-weights |")
    assert rows[0].endswith(ratio)


def test_encoders_of_continuous_rnns_are_trained_too(
    tiny_mnist_zoo: Zoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--encoders", "noninteractive-probing", "--preset", "tiny", "--rnns", "2", "--steps", "1", "--json"]
    assert main(["study", "invariance", str(tiny_mnist_zoo.folder), "--out", str(tmp_path / "study"), *arguments]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["movements"]["trained for 1 updates"]["noninteractive-probing"]["complete"]["largest"] < 1e-10
    assert result["validation_losses"]["trained for 1 updates"]["noninteractive-probing"] > 0


def test_the_same_command_gives_the_same_figure(folder: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert main(["study", "invariance", str(folder), "--out", str(tmp_path / name), *FEW, "--json"]) == 0
    for name in ("invariance.svg", "invariance.md"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_table_of_encoders(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "table"
    assert main(["study", "encoders", str(folder), "--out", str(out), *FEW, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["encoders"] == json.loads((out / "encoders.json").read_text())["encoders"]
    assert result["encoders"]["dwsnet"]["exponent"] == 0
    assert "N = 256" in (out / "encoders.md").read_text()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--encoders", "dwsnett"], "did you mean 'dwsnet'"),
        (["--rnns", "1"], "--rnns 1"),
        (["--steps", "-1"], "--steps -1"),
    ],
)
def test_a_wrong_call_is_refused_before_anything_is_written(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: list[str], message: str
) -> None:
    assert main(["study", "invariance", str(folder), "--out", str(tmp_path / "x"), *wrong]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_a_folder_with_other_things_in_it_is_left_alone(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["study", "encoders", str(folder), "--out", str(tmp_path), *FEW]) == 2
    assert "not a table of encoders" in capsys.readouterr().err
