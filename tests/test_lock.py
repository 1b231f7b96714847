"""One writer per folder: a second one is told who the first is, and a dead one stands in nobody's way."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from rnn2vec import _lock
from rnn2vec._errors import StorageError
from rnn2vec._lock import LOCK, BusyError, only_writer

_HOLD = """
import sys
from pathlib import Path
from rnn2vec._lock import only_writer
with only_writer(Path(sys.argv[1])):
    print("mine", flush=True)
    sys.stdin.read()
"""


def _holder(folder: Path) -> subprocess.Popen[str]:
    """Another process that writes to the folder."""
    command = [sys.executable, "-c", _HOLD, str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "mine\n"
    return process


def test_a_second_writer_is_told_who_the_first_is_and_a_killed_one_is_none(tmp_path: Path) -> None:
    with _holder(tmp_path) as first:
        with pytest.raises(BusyError) as caught, only_writer(tmp_path):
            pass
        assert f"{tmp_path} is being written to by another process" in str(caught.value)
        assert f"(pid {first.pid} on {socket.gethostname()}, since 20" in str(caught.value)
        assert "-> wait until it is done, or end it and give the same command again" in str(caught.value)
        assert caught.value.exit_code == 1
        first.send_signal(signal.SIGKILL)
    assert (tmp_path / LOCK).exists(), "what is left behind means nothing"
    with only_writer(tmp_path):
        assert f"pid {os.getpid()} on" in (tmp_path / LOCK).read_text()
    assert list(tmp_path.iterdir()) == []


def test_one_process_gets_in_once(tmp_path: Path) -> None:
    with only_writer(tmp_path), pytest.raises(BusyError, match=f"pid {os.getpid()} on"), only_writer(tmp_path):
        pass
    with only_writer(tmp_path):
        pass


def test_a_lock_file_removed_between_opening_and_locking_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What happens when the last holder leaves at that moment."""
    lock = _lock.fcntl.flock
    removed: list[Path] = []

    def leave_first(descriptor: int, operation: int) -> None:
        if not removed:
            (tmp_path / LOCK).unlink()
            removed.append(tmp_path / LOCK)
        lock(descriptor, operation)

    monkeypatch.setattr(_lock.fcntl, "flock", leave_first)
    with only_writer(tmp_path):
        assert (tmp_path / LOCK).exists()
        with pytest.raises(BusyError), only_writer(tmp_path):
            pass


def test_a_folder_that_cannot_be_locked_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StorageError, match=r"\.writer\.lock could not be opened"), only_writer(tmp_path / "nowhere"):
        pass

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(37, f"No locks available for {descriptor}, {operation}")

    monkeypatch.setattr(_lock.fcntl, "flock", refuse)
    with pytest.raises(StorageError, match=r"\.writer\.lock could not be locked: No locks"), only_writer(tmp_path):
        pass
