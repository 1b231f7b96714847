"""Claims: one writer per output, harmless locks, and folders of others left alone."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rnn2vec._errors import BusyError, Rnn2VecError, StorageError, UsageError
from rnn2vec._lock import LOCK, claim

_HOLD = """
import sys
from pathlib import Path
from rnn2vec._lock import claim
with claim(Path(sys.argv[1]), marker="zoo.json", kind="zoo"):
    print("mine", flush=True)
    sys.stdin.read()
"""
ZOO: dict[str, Any] = {"marker": "zoo.json", "kind": "zoo"}


def _holder(folder: Path) -> subprocess.Popen[str]:
    """Another process that writes to the folder."""
    command = [sys.executable, "-c", _HOLD, str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "mine\n"
    return process


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_second_writer_learns_who_the_first_is_and_a_killed_one_does_not_count(tmp_path: Path) -> None:
    with _holder(tmp_path) as first:
        with pytest.raises(BusyError) as caught, claim(tmp_path, **ZOO):
            pass
        assert f"{tmp_path} is being written to by another process" in str(caught.value)
        assert f"(pid {first.pid} on {socket.gethostname()}, since 20" in str(caught.value)
        assert "-> wait until it is done, or end it and rerun the command" in str(caught.value)
        assert caught.value.exit_code == 1
        first.send_signal(signal.SIGKILL)
    assert _names(tmp_path) == [LOCK]
    with claim(tmp_path, **ZOO):
        assert f'"pid": {os.getpid()}' in (tmp_path / LOCK).read_text()
    assert _names(tmp_path) == []


def test_one_process_gets_in_once(tmp_path: Path) -> None:
    with claim(tmp_path, **ZOO), pytest.raises(BusyError, match=f"pid {os.getpid()} on"), claim(tmp_path, **ZOO):
        pass
    with claim(tmp_path, **ZOO):
        pass


def test_a_folder_that_was_begun_is_resumed_before_its_marker_exists_but_not_as_something_else(tmp_path: Path) -> None:
    def fail() -> None:
        with claim(tmp_path, **ZOO):
            (tmp_path / "first.bin").write_text("made before the marker")
            raise StorageError("full", remedy="none")

    with pytest.raises(StorageError):
        fail()
    assert _names(tmp_path) == [LOCK, "first.bin"]
    with (
        pytest.raises(UsageError, match="exists and is not an index"),
        claim(tmp_path, marker="index.json", kind="index"),
    ):
        pass
    with claim(tmp_path, **ZOO):
        (tmp_path / "zoo.json").write_text("{}")
    assert _names(tmp_path) == ["first.bin", "zoo.json"]


def test_leftovers_of_killed_writers_are_removed_here_and_below_but_not_where_another_claim_is(tmp_path: Path) -> None:
    for name in ("zoo.json", "shards/.00001.parquet.tmp", "run/.writer.lock", "run/.config.json.tmp", ".zoo.json.tmp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    with claim(tmp_path, **ZOO):
        assert _names(tmp_path / "shards") == []
        assert _names(tmp_path / "run") == [".config.json.tmp", ".writer.lock"]
    assert _names(tmp_path) == ["run", "shards", "zoo.json"]


@pytest.mark.parametrize("plant", ["symlink", "hard link", "file", "fifo", "folder"])
def test_what_stands_in_the_place_of_the_lock_is_not_harmed(tmp_path: Path, plant: str) -> None:
    victim, folder = tmp_path / "victim", tmp_path / "zoo"
    victim.write_text("mine")
    folder.mkdir()
    lock = folder / LOCK
    if plant == "symlink":
        lock.symlink_to(victim)
    elif plant == "hard link":
        os.link(victim, lock)
    elif plant == "file":
        lock.write_text("mine")
    elif plant == "fifo":
        os.mkfifo(lock)
    else:
        lock.mkdir()
    with pytest.raises(Rnn2VecError, match=r"\.writer\.lock (is in the way|could not be locked)"), claim(folder, **ZOO):
        pass
    assert victim.read_text() == "mine"
    assert lock.is_symlink() or lock.exists()


@pytest.mark.parametrize("name", ["thesis.tex", ".hidden", "notes.tmp", ".notes.tmp"])
def test_a_folder_of_others_is_refused_and_untouched(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with (
        pytest.raises(UsageError, match=r"not a zoo \(it has no zoo\.json\)(.|\n)*choose a new or empty folder"),
        claim(tmp_path, **ZOO),
    ):
        pass
    assert (tmp_path / name).read_text() == "mine"
    assert _names(tmp_path) == [name]


@pytest.mark.parametrize(("below", "words"), [("", "is a file, not a folder"), ("fl/zoo", "lies below a file")])
def test_a_file_in_the_way_is_refused_and_untouched(tmp_path: Path, below: str, words: str) -> None:
    file = tmp_path / "report"
    file.write_text("mine")
    with pytest.raises(UsageError, match=f"report.*{words}(.|\n)*choose another folder"), claim(file / below, **ZOO):
        pass
    assert file.read_text() == "mine"


def test_a_disk_that_refuses_a_folder_is_a_storage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StorageError, match=r"fl could not be made: no space left"), claim(tmp_path / "fl", **ZOO):
        pass
