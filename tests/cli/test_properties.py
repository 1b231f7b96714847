"""`rnn2vec properties`: tables for people, JSON for machines, and going on where it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rnn2vec.cli import main
from rnn2vec.zoo.store import Zoo

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def command(tiny_zoo: Zoo, tiny_run: Path) -> list[str]:
    """Frozen, with few updates."""
    return ["properties", str(tiny_zoo.folder), "--model", str(tiny_run), "--preset", "tiny", "--steps", "20"]


def test_people_see_a_table_for_each_property(command: list[str], tmp_path: Path, capsys: Captured) -> None:
    assert main([*command, "--out", str(tmp_path / "p")]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith((tmp_path / "p" / "properties.md").read_text())
    assert "**task**, 4 RNNs of unseen tasks" in captured.out
    assert "RNNs of unusual tasks (OOD test)" in captured.out
    assert "| **interactive-probing, frozen** |" in captured.out
    assert "| trees on statistics |" in captured.out
    assert "| loss | all right | last snapshots | offset_b | offset_c | offset_d | calibration error |" in captured.out
    assert "| loss | R² | typical error | last snapshots |" in captured.out
    assert "task, frozen: 100%" in captured.err


def test_machines_get_what_is_written(command: list[str], tmp_path: Path, capsys: Captured) -> None:
    options = ["--property", "performance", "--without-baselines", "--seed", "3", "--json"]
    assert main([*command, *options, "--out", str(tmp_path / "p")]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    result = json.loads(captured.out)
    written = json.loads((tmp_path / "p" / "properties.json").read_text())
    assert {"checksum", "format_version"} <= written.keys()
    assert result == {"results": written["results"]}
    (one,) = result["results"]
    assert (one["property"], one["setting"], one["seed"], one["baselines"]) == ("performance", "frozen", 3, {})
    assert one["config"]["num_steps"] == 20
    assert one["provenance"]["rnn2vec"]


def test_supervised_by_name(tiny_zoo: Zoo, tmp_path: Path, capsys: Captured) -> None:
    command = [
        "properties", str(tiny_zoo.folder), "--encoder", "noninteractive-probing", "--setting", "supervised",
        "--preset", "tiny", "--steps", "2", "--learning-rate", "0.01", "--patience", "2",
    ]  # fmt: skip
    assert main([*command, "--property", "task", "--out", str(tmp_path / "p"), "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)["results"]
    assert (one["encoder"], one["setting"], one["num_steps"]) == ("noninteractive-probing", "supervised", 2)
    assert one["config"]["encoder_options"] == {"hidden_size": 32, "sequence_length": 8}
    assert (one["config"]["learning_rate"], one["config"]["patience"]) == (0.01, 2)
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == ["properties.json", "properties.md"]


def test_what_is_there_is_not_made_again(command: list[str], tmp_path: Path, capsys: Captured) -> None:
    out = ["--out", str(tmp_path / "p")]
    assert main([*command, "--property", "task", *out]) == 0
    (first,) = json.loads((tmp_path / "p" / "properties.json").read_text())["results"]
    capsys.readouterr()
    assert main([*command, *out, "--json"]) == 0
    both = json.loads(capsys.readouterr().out)["results"]
    assert [one["property"] for one in both] == ["task", "performance"]
    assert both[0] == first
    assert main([*command, *out]) == 0
    assert "frozen: " not in capsys.readouterr().err, "nothing was left to do"


def test_an_interruption_goes_on_with_the_checkpoint(
    tiny_zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    command = [
        "properties", str(tiny_zoo.folder), "--encoder", "layerwise-statistics", "--setting", "supervised",
        "--preset", "tiny", "--property", "task", "--without-baselines", "--out",
    ]  # fmt: skip

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("rnn2vec.properties.training.PredictionLearner.best_outputs", interrupt)
        assert main([*command, str(tmp_path / "p")]) == 130
    assert "interrupted; rerun the command to resume" in capsys.readouterr().err
    assert [path.suffix for path in sorted((tmp_path / "p").iterdir())] == [".json", ".safetensors"]
    assert main([*command, str(tmp_path / "p")]) == 0
    assert main([*command, str(tmp_path / "whole")]) == 0
    cut, whole = (json.loads((tmp_path / name / "properties.json").read_text()) for name in ("p", "whole"))
    assert cut == whole
    assert not list((tmp_path / "p").glob("*.safetensors"))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--property", "tusk"], "unknown property of formal-languages 'tusk'\n  -> did you mean 'task'?"),
        (["--preset", "tinny"], "did you mean 'tiny'"),
        (["--steps", "0"], "--steps 0"),
        (["--encoder", "dwsnet"], "both of model and encoder is given"),
        (["--model", "dwsnet"], "unknown model or folder 'dwsnet'"),
        (["--representation-size", "3"], "--representation-size beside --model, which determines it"),
        (["--encoder-options", "hidden_size=3"], "--encoder-options beside --model, which determines it"),
    ],
)
def test_a_wrong_call_is_code_2_and_makes_no_folder(
    command: list[str], tmp_path: Path, capsys: Captured, wrong: list[str], message: str
) -> None:
    assert main([*command, "--out", str(tmp_path / "p"), *wrong]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "p").exists()


def test_results_of_other_options_are_left_alone(command: list[str], tmp_path: Path, capsys: Captured) -> None:
    out = ["--property", "performance", "--out", str(tmp_path / "p")]
    assert main([*command, *out, "--without-baselines"]) == 0
    before = (tmp_path / "p" / "properties.json").read_bytes()
    assert main([*command, *out, "--seed", "1"]) == 2
    assert "holds performance of other options: seed is 0, asked for 1; it was not touched" in capsys.readouterr().err
    assert (tmp_path / "p" / "properties.json").read_bytes() == before


def test_a_folder_with_other_things_in_it_is_left_alone(command: list[str], tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert main([*command, "--out", str(tmp_path)]) == 2
    assert "is not a result of `rnn2vec properties`" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_damaged_result_is_code_1(command: list[str], tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "properties.json").write_text('{"results": [3]}')
    assert main([*command, "--out", str(tmp_path)]) == 1
    assert "properties.json does not hold results" in capsys.readouterr().err
