"""`rnn2vec pretrain`: its options reach the run, and what it refuses is left as it was."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from rnn2vec.cli import main
from rnn2vec.training.tracking import read_metrics
from rnn2vec.zoo.store import Zoo

Captured = pytest.CaptureFixture[str]
QUICK = ["--preset", "tiny", "--steps", "2", "--batch-size", "4"]


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def _refused(arguments: list[str], capsys: Captured) -> tuple[int, str]:
    """Exit code and message of a command that fails; it prints nothing else, and no traceback."""
    code = main(arguments)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("rnn2vec: ")
    assert "\n  -> " in captured.err
    assert len(captured.err.splitlines()) <= 5
    return code, captured.err


def test_every_option_reaches_the_run(tiny_zoo: Zoo, tmp_path: Path, capsys: Captured) -> None:
    options: dict[str, Any] = {
        "encoder": "noninteractive-probing", "preset": "tiny", "steps": 4, "batch-size": 3, "rollouts-per-rnn": 2,
        "learning-rate": 0.01, "loss": "js", "validate-every": 2, "patience": 5, "seed": 7, "device": "cpu",
    }  # fmt: skip
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    assert main(["pretrain", str(tiny_zoo.folder), "--out", str(tmp_path / "run"), *words, "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    result = json.loads(captured.out)

    config = json.loads((tmp_path / "run" / "run.json").read_text())["config"]
    assert result["config"] == config
    assert result["run"] == str(tmp_path / "run")
    names = {"steps": "num_steps"}
    for name in options.keys() - {"preset", "device"}:
        assert config[names.get(name, name.replace("-", "_"))] == options[name]
    assert config["encoder_options"] == {"hidden_size": 32, "sequence_length": 8}
    lines = read_metrics(tmp_path / "run")
    assert [line["step"] for line in lines] == [2, 4]
    assert result["best"] == min(lines, key=lambda line: line["validation/js"])


@pytest.mark.parametrize("name", ["recommended", "paper"])
def test_a_large_preset_is_shortened_by_its_options(name: str, tiny_zoo: Zoo, tmp_path: Path, capsys: Captured) -> None:
    words = ["--preset", name, "--encoder", "layerwise-statistics", "--steps", "2", "--batch-size", "2", "--json"]
    assert main(["pretrain", str(tiny_zoo.folder), "--out", str(tmp_path / "run"), *words]) == 0
    config = json.loads(capsys.readouterr().out)["config"]
    assert (config["num_steps"], config["batch_size"], config["emulator_hidden_size"]) == (2, 2, 256)
    assert config["rollouts_per_rnn"] == 1
    assert [line["step"] for line in read_metrics(tmp_path / "run")] == [2]


def test_people_are_told_the_best_and_the_time_left(tiny_zoo: Zoo, tmp_path: Path, capsys: Captured) -> None:
    assert main(["pretrain", str(tiny_zoo.folder), "--out", str(tmp_path / "run"), *QUICK]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(f"{tmp_path / 'run'}: total-variation 0.")
    assert "on unseen tasks (" in captured.out
    assert captured.out.endswith("at step 2\n")
    assert "pre-train interactive-probing: 100%, " in captured.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--encoder", "interactive"], "did you mean 'interactive-probing'"),
        (["--preset", "tinny"], "did you mean 'tiny'"),
        (["--loss", "total-varation"], "did you mean 'total-variation'"),
        (["--steps", "0"], "--steps 0"),
        (["--patience", "0"], "--patience 0"),
        (["--learning-rate", "-1"], "--learning-rate -1"),
        (["--device", "cuda:99"], "torch cannot use device 'cuda:99'"),
    ],
)
def test_a_wrong_option_is_code_2_and_makes_no_folder(
    tiny_zoo: Zoo, tmp_path: Path, capsys: Captured, arguments: list[str], words: str
) -> None:
    out = tmp_path / "run"
    code, message = _refused(["pretrain", str(tiny_zoo.folder), "--out", str(out), *QUICK, *arguments], capsys)
    assert code == 2
    assert words in message
    assert not out.exists()


def test_a_folder_that_is_not_ours_is_code_2_and_stays(tiny_zoo: Zoo, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    for options in ([], ["--tensorboard"]):
        command = ["pretrain", str(tiny_zoo.folder), "--out", str(tmp_path), *QUICK, *options]
        code, message = _refused(command, capsys)
        assert code == 2
        assert f"{tmp_path} exists and is not a run" in message
        assert "--out" in message
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_run_of_another_config_is_code_2_and_stays(
    tiny_zoo: Zoo, tiny_run: Path, tmp_path: Path, capsys: Captured
) -> None:
    folder = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    before = _contents(folder)
    command = ["pretrain", str(tiny_zoo.folder), "--out", str(folder), *QUICK]
    code, message = _refused([*command, "--encoder", "noninteractive-probing"], capsys)
    assert code == 2
    assert "encoder is interactive-probing, asked for noninteractive-probing" in message
    assert "num_steps is 60, asked for 2" in message
    assert _contents(folder) == before


def test_a_damaged_checkpoint_is_code_1(tiny_zoo: Zoo, tmp_path: Path, capsys: Captured) -> None:
    command = ["pretrain", str(tiny_zoo.folder), "--out", str(tmp_path / "run"), *QUICK]
    assert main(command) == 0
    capsys.readouterr()
    path = tmp_path / "run" / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    code, message = _refused(command, capsys)
    assert code == 1
    assert f"{path} is damaged" in message


def test_a_damaged_zoo_is_code_1(tiny_zoo: Zoo, tmp_path: Path, capsys: Captured) -> None:
    folder = Path(shutil.copytree(tiny_zoo.folder, tmp_path / "zoo"))
    shard = folder / "shards" / "00001.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1])
    code, message = _refused(["pretrain", str(folder), "--out", str(tmp_path / "run"), *QUICK], capsys)
    assert code == 1
    assert f"{shard} is truncated or altered" in message
    assert not (tmp_path / "run").exists()


def test_an_interruption_says_how_to_go_on_and_the_same_command_does(
    tiny_zoo: Zoo, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["pretrain", str(tiny_zoo.folder), "--out", str(tmp_path / "run"), *QUICK, "--validate-every", "1"]

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("rnn2vec.training.loop.save_state", interrupt)
        assert main(command) == 130
    assert "interrupted; rerun the command to resume" in capsys.readouterr().err
    assert main(command) == 0
    assert [line["step"] for line in read_metrics(tmp_path / "run")] == [1, 2]
    capsys.readouterr()
