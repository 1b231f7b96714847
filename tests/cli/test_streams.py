"""Closed pipes, full disks and Ctrl-C, as a shell makes them: the right exit code, a line at most, and no traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rnn2vec.zoo.store import Zoo

STUDY = """
name: small
zoo:
  preset: tiny
  options: {num_runs: 4, num_steps: 20, hidden_size: 4, num_layers: 1, num_episodes: 10, num_rollouts: 4,
            runs_per_shard: 2, backend: torch}
encoders: [layerwise-statistics]
seeds: [0]
preset: tiny
pretrain: {num_steps: 100_000, validate_every: 20, batch_size: 4}
floor: false
"""


INTERRUPTED = {130, -signal.SIGINT}
"""Exit codes after Ctrl-C. A shell reports both as 130: CPython ends itself by the signal where the interruption passed
through `exec`, by which dataclasses are made, even if it was handled further up."""


def start(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "rnn2vec", *map(str, arguments)]
    return subprocess.Popen(command, text=True, stderr=subprocess.PIPE, start_new_session=True, **options)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Return exit code and stderr, which is that of a program that ended on purpose."""
    _, said = process.communicate(timeout=120)
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    assert "semaphore" not in said
    return process.returncode, said


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, f"it ended before: {process.communicate()[1]}"
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def has_loaded(library: str, process: subprocess.Popen[str]) -> bool:
    """Return True once the program itself has loaded a library; before that, a fork shows those of this process."""
    assert isinstance(process.args, list)
    is_program = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")[:-1] == [
        *map(os.fsencode, process.args)
    ]
    return is_program and library in Path(f"/proc/{process.pid}/maps").read_text()


def test_a_reader_that_has_closed_the_pipe_is_no_error_to_report(tiny_zoo: Zoo) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    process = start("zoo", "info", tiny_zoo.folder, stdout=writes)
    os.close(writes)
    assert ended(process) == (141, "")


def test_head_ends_a_long_output_quietly(tiny_zoo: Zoo) -> None:
    line = f"{sys.executable} -m rnn2vec zoo info {tiny_zoo.folder} | head -n 1; exit ${{PIPESTATUS[0]}}"
    process = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, timeout=120)
    assert process.stdout.count("\n") == 1
    assert process.returncode in {0, 141}  # 0 where all was written before head ended
    assert process.stderr == ""


def test_a_closed_stdout_is_reported(tiny_zoo: Zoo) -> None:
    line = f"exec {sys.executable} -m rnn2vec zoo info {tiny_zoo.folder} >&-"
    process = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, timeout=120)
    assert process.returncode == 1
    assert process.stderr.splitlines()[0] == "rnn2vec: standard output is closed"
    assert len(process.stderr.splitlines()) == 2


def test_a_full_disk_behind_stdout_is_reported(tiny_zoo: Zoo) -> None:
    with Path("/dev/full").open("w") as full:
        code, said = ended(start("zoo", "info", tiny_zoo.folder, stdout=full))
    assert code == 1
    assert said.splitlines()[0] == "rnn2vec: standard output could not be written: no space left"
    assert len(said.splitlines()) == 2


@pytest.mark.parametrize("library", ["unicodedata", "libtorch_cpu", "multiarray"])  # the first one comes early
def test_an_interruption_while_libraries_are_imported(tiny_zoo: Zoo, tmp_path: Path, library: str) -> None:
    process = start("pretrain", tiny_zoo.folder, "--out", tmp_path / "run", stdout=subprocess.PIPE)
    wait_until(lambda: has_loaded(library, process), process)
    process.send_signal(signal.SIGINT)
    code, said = ended(process)
    assert code in INTERRUPTED
    assert said.splitlines()[-1].startswith("rnn2vec: interrupted")


@pytest.mark.slow
def test_an_interruption_of_the_parent_of_a_study_ends_its_workers(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(STUDY)
    process = start("study", "run", tmp_path / "small.yaml", "--workers", "1", "--out", tmp_path / "out")
    wait_until(lambda: any(tmp_path.rglob("metrics.jsonl")), process)
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    code, said = ended(process)
    assert code in INTERRUPTED
    assert said.splitlines()[-1].startswith("rnn2vec: interrupted")
    while is_there(process.pid):
        assert time.monotonic() - started < 30
        time.sleep(0.05)
