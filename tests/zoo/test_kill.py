"""A real `kill -9` in the middle of a build, again and again: the same command ends with the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from rnn2vec.cli import main
from rnn2vec.zoo.store import Zoo
from rnn2vec.zoo.verify import verify

BUILD = ["--preset", "tiny", "--runs", "12", "--hidden-size", "8", "--runs-per-shard", "1"]
OF_BACKEND = {
    name: [*BUILD, "--backend", name, "--steps", steps] for name, steps in (("numba", "2000"), ("torch", "60"))
}
"""Build options for each backend, with steps that take about the same time."""
PATIENCE = 60.0


def _start(out: Path, options: Sequence[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "rnn2vec", "zoo", "build", "formal-languages", "--out", str(out), *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)


def _kill_when(out: Path, options: Sequence[str], reached: Callable[[], bool]) -> None:
    process = _start(out, options)
    try:
        deadline = time.monotonic() + PATIENCE
        while not reached() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        _, said = process.communicate()
    assert process.returncode == -signal.SIGKILL, f"it ended by itself: {said.decode()}"


def _finished(out: Path) -> int:
    return len(Zoo.open(out).manifest.shards) if (out / "zoo.json").exists() else -1


@pytest.mark.slow
@pytest.mark.parametrize("backend", OF_BACKEND)
def test_a_killed_build_given_again_is_an_uninterrupted_one(
    backend: str, tmp_path: Path, digests: Callable[[Path], dict[str, str]]
) -> None:
    options = OF_BACKEND[backend]
    out, whole = tmp_path / "killed", tmp_path / "whole"
    _kill_when(out, options, lambda: _finished(out) >= 0)
    for shards in (1, 4):
        _kill_when(out, options, lambda shards=shards: _finished(out) >= shards)
        assert shards <= _finished(out) < 12
        assert [problem for problem in verify(Zoo.open(out)) if "not built yet" not in problem] == []
    _kill_when(
        out, options, lambda: any(out.glob("shards/.*.tmp")) or _finished(out) >= 9
    )  # while it writes, if we are quick

    process = _start(out, options)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said.decode()
    assert main(["zoo", "build", "formal-languages", "--out", str(whole), *options]) == 0
    assert digests(out) == digests(whole)
