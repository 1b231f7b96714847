"""`rnn2vec study run` and `rnn2vec study report` as a user gives them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from rnn2vec.cli import main

STUDY = """
name: small
zoo:
  preset: tiny
  options: {num_runs: 3, num_steps: 2, hidden_size: 4, num_rollouts: 3, num_episodes: 3, backend: torch}
encoders: [layerwise-statistics]
seeds: [0]
preset: tiny
pretrain: {num_steps: 2, emulator_hidden_size: 8, batch_size: 3}
floor: false
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "small.yaml"
    path.write_text(STUDY)
    return path


@pytest.fixture(scope="module")
def ran(written: Path) -> Path:
    """The folder of the study, run by the command. Read only."""
    out = written.parent / "out"
    assert main(["study", "run", str(written), "--out", str(out), "--workers", "1", "--json"]) == 0
    return out


def test_run_again_and_report(written: Path, ran: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "run", str(written), "--out", str(ran)]) == 0
    assert capsys.readouterr().out == f"{ran}: 0 pieces done, 1 done before, 0 failed\n"
    assert main(["study", "report", str(ran)]) == 0
    said = capsys.readouterr().out
    assert "| layerwise-statistics | default | 1 |" in said
    assert said.endswith(f"report: {ran / 'report' / 'report.md'}\n")
    assert main(["study", "report", str(ran), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((ran / "results.json").read_text())


@pytest.mark.slow
def test_a_failed_piece_is_shown_and_the_exit_code_says_so(
    written: Path, ran: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = Path(shutil.copytree(ran, tmp_path / "out"))
    piece = "pretrain.layerwise-statistics.default.seed-0"
    (out / "rows" / f"{piece}.json").unlink()
    checkpoint = out / "runs" / piece / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    assert main(["study", "run", str(written), "--out", str(out), "--workers", "1"]) == 1
    shown = capsys.readouterr()
    assert "0 pieces done, 0 done before, 1 failed" in shown.out
    assert f"1 of 1 pieces failed: {piece}: {checkpoint} is damaged" in shown.err
    assert "Traceback (most recent call last)" not in shown.err
    assert "Traceback" in (out / "errors" / f"{piece}.txt").read_text()


def test_a_report_says_what_is_missing(
    written: Path, ran: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = Path(shutil.copytree(ran, tmp_path / "out"))
    marker = json.loads((out / "study.json").read_text())
    marker["study"]["seeds"] = [0, 1, 2]
    (out / "study.json").write_text(json.dumps(marker))
    assert main(["study", "report", str(out)]) == 0
    assert "2 pieces are not done yet" in capsys.readouterr().out
    assert written.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "missing.yaml", "--out", "out"], "missing.yaml cannot be read"),
        (["run", "STUDY", "--out", "out", "--workers", "0"], "--workers 0"),
        (["report", "out"], "out holds no study"),
    ],
)
def test_a_wrong_call(
    written: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [str(written) if argument == "STUDY" else argument for argument in arguments]
    assert main(["study", *given]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
