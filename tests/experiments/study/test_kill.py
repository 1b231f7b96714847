"""A real `kill -9` in the middle of a study: the same command ends with the same table. And the tiny study, whole."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rnn2vec.cli import main

STUDIES = Path(__file__).parents[3] / "studies"
PATIENCE = 600.0
STUDY = """
name: killed
zoo:
  preset: tiny
  options: {num_runs: 3, num_steps: 20, hidden_size: 4, num_rollouts: 5, num_episodes: 5, backend: torch}
encoders: [interactive-probing, layerwise-statistics]
seeds: [0]
preset: tiny
settings: [pretrain, frozen, supervised]
properties: [task]
pretrain: {num_steps: 300, emulator_hidden_size: 8, batch_size: 3, validate_every: 5}
predict:
  frozen: {num_steps: 60}
  supervised: {num_steps: 60, validate_every: 5, patience: null}
floor: false
"""


def _start(study: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "rnn2vec", "study", "run", str(study), "--out", str(out), "--workers", "2"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _kill_when_a_file_is_there(study: Path, out: Path, pattern: str) -> None:
    process = _start(study, out)
    try:
        deadline = time.monotonic() + PATIENCE
        while not any(out.glob(pattern)) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        _, said = process.communicate()
    assert process.returncode == -signal.SIGKILL, f"it ended by itself: {said.decode()}"


@pytest.mark.slow
def test_a_killed_study_given_again_gives_the_table_of_an_uninterrupted_one(tmp_path: Path) -> None:
    study, killed, whole = tmp_path / "killed.yaml", tmp_path / "killed", tmp_path / "whole"
    study.write_text(STUDY)
    for pattern in ("zoo/zoo.json", "runs/*/checkpoint.safetensors"):
        _kill_when_a_file_is_there(study, killed, pattern)
    assert not any(killed.glob("rows/pretrain.*.json")), "baselines alone may be done by then"
    _kill_when_a_file_is_there(study, killed, "runs/supervised.*.safetensors")
    assert any(killed.glob("rows/frozen.*.json")), "frozen predictions do not wait for supervised ones"
    assert not any(killed.glob("rows/supervised.*.json"))
    for out in (killed, whole):
        process = _start(study, out)
        _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, said.decode()
        assert main(["study", "report", str(out)]) == 0
    assert (killed / "results.parquet").read_bytes() == (whole / "results.parquet").read_bytes()
    for name in ("curves.svg", "losses.svg", "predictions.svg"):
        assert (killed / "report" / name).read_bytes() == (whole / "report" / name).read_bytes()


@pytest.mark.slow
def test_the_tiny_study_runs_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "tiny"
    assert main(["study", "run", str(STUDIES / "tiny.yaml"), "--out", str(out)]) == 0
    assert main(["study", "report", str(out)]) == 0
    said = capsys.readouterr().out
    assert "44 pieces done, 0 done before, 0 failed" in said
    assert "| probe-length (`encoder_options.sequence_length`) | 4 | 8 |" in said
    assert "Task-blind floor: **" in said
    assert "| trees on statistics, baseline |" in said
    assert "| task | unseen tasks |" in said
