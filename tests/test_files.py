"""Files: whole or not there, whatever the disk does; JSON: within bounds and as it was written, or refused."""

from __future__ import annotations

import errno
import fcntl
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnn2vec._errors import BusyError, DataError, StorageError, UsageError
from rnn2vec._files import (
    LARGEST_JSON,
    canonical_json,
    read_json,
    read_json_lines,
    read_sealed,
    sha256_of,
    write_atomically,
    write_json,
    write_sealed,
)

# A real refusal by the operating system: no file of this process may grow beyond 1000 bytes.
_WRITE_UNDER_A_SIZE_LIMIT = """
import resource, sys
from pathlib import Path
from rnn2vec._errors import StorageError
from rnn2vec._files import write_atomically
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_atomically(Path(sys.argv[1]), bytes(5000))
except StorageError as error:
    print(error)
    sys.exit(error.exit_code)
"""


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_write_replaces_what_was_there_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "zoo.json"
    write_atomically(path, b"old")
    write_atomically(path, b"new")

    assert path.read_bytes() == b"new"
    assert _names(tmp_path) == ["zoo.json"]


def test_a_limit_of_the_operating_system_is_a_storage_error_and_the_old_file_survives(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"old")
    command = [sys.executable, "-c", _WRITE_UNDER_A_SIZE_LIMIT, str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)

    assert result.returncode == 1, result.stderr
    assert f"{path} could not be written (5,000 bytes): a file-size limit" in result.stdout
    assert "free some space" in result.stdout
    assert path.read_bytes() == b"old"
    assert _names(tmp_path) == ["weights.safetensors"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "no space left\n  -> free some space"),
        (errno.EDQUOT, "the quota is used up\n  -> free some space"),
        (errno.EROFS, "the file system is read-only\n  -> choose a folder that you may write to"),
        (errno.EACCES, "permission denied\n  -> choose a folder that you may write to"),
    ],
)
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str, call: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    path = tmp_path / "zoo.json"
    path.write_bytes(b"old")
    monkeypatch.setattr(*((os, "fsync") if call == "fsync" else (Path, "replace")), refuse)

    with pytest.raises(StorageError, match=rf"zoo\.json could not be written \(3 bytes\): {words}"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert _names(tmp_path) == ["zoo.json"]


def test_other_errors_of_the_system_are_not_dressed_up(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "no-such-folder" / "zoo.json", b"new")


def test_equal_values_give_equal_text() -> None:
    assert (
        canonical_json({"b": 1, "a": [2, None]})
        == canonical_json({"a": [2, None], "b": 1})
        == '{"a": [2, null], "b": 1}'
    )


def test_json_comes_back_as_it_was(tmp_path: Path) -> None:
    value = {"steps": [0, 100], "name": "a^n b^n … ü", "share": 0.1}
    write_json(tmp_path / "zoo.json", value)

    assert read_json(tmp_path / "zoo.json") == value
    assert (tmp_path / "zoo.json").read_bytes().endswith(b"}\n")


def test_nan_is_not_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "zoo.json", {"loss": math.nan})
    assert _names(tmp_path) == []


@pytest.mark.parametrize("damage", [b'{"steps": [0, 1', b"", b"\xff\xfe\x00"])
def test_damaged_json_names_the_file_and_the_remedy(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "zoo.json"
    path.write_bytes(damage)
    with pytest.raises(DataError, match=r"zoo\.json is not valid JSON(.|\n)*restore the file"):
        read_json(path)


def test_sha256_is_the_published_one() -> None:
    assert sha256_of(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_leftover_is_reused_and_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    path, temporary = tmp_path / "zoo.json", tmp_path / ".zoo.json.tmp"
    for plant in (
        lambda: temporary.write_bytes(b"torn"),
        lambda: temporary.symlink_to(victim),
        lambda: os.link(victim, temporary),
    ):
        plant()
        write_atomically(path, b"new")
        assert path.read_bytes() == b"new"
        assert _names(tmp_path) == ["victim", "zoo.json"]
        assert victim.read_bytes() == b"mine"


def test_two_writers_of_one_file_do_not_mix(tmp_path: Path) -> None:
    with (tmp_path / ".zoo.json.tmp").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(BusyError, match="is being written by another process"):
            write_atomically(tmp_path / "zoo.json", b"new")
    write_atomically(tmp_path / "zoo.json", b"new")
    assert _names(tmp_path) == ["zoo.json"]


# -- reading ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 200_000, "nested too deeply"),
        ("[" * 60 + "]" * 60, "nested more than 40 levels"),
        ("1" * 5000, "digits"),
        ("1" * 100, "an integer has 100 digits"),
        ("1e999", "too large for a float"),
        ("NaN", "NaN is not a number"),
        ('{"a": 1, "a": 2}', "a key twice"),
    ],
)
def test_json_beyond_its_bounds_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "zoo.json").write_text(text)
    with pytest.raises(DataError, match=rf"zoo\.json is not valid JSON: (.|\n)*{words}"):
        read_json(tmp_path / "zoo.json")


def test_only_regular_files_of_bounded_size_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(LARGEST_JSON + 1)
    with pytest.raises(UsageError, match="pipe is a device or pipe, not a file"):
        read_json(tmp_path / "pipe")
    with pytest.raises(UsageError, match="is a folder, not a file"):
        read_json(tmp_path)
    with pytest.raises(UsageError, match="is a device or pipe"):
        read_json(Path("/dev/zero"))
    with pytest.raises(UsageError, match="No such file"):
        read_json(tmp_path / "nothing")
    with pytest.raises(DataError, match=r"sparse has 8,388,609 bytes, more than"):
        read_json(tmp_path / "sparse")


@given(place=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_every_changed_byte_of_a_sealed_file_is_noticed(place: int, byte: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "zoo.json")
        value = {"format_version": 2, "runs": 3, "name": "ü", "share": 0.1, "shards": [{"number": 0}]}
        write_sealed(path, value)
        assert read_sealed(path, newest=2) == value
        data = bytearray(path.read_bytes())
        place %= len(data)
        changed = data[place] != byte
        data[place] = byte
        path.write_bytes(data)
        if changed:
            with pytest.raises(DataError):
                read_sealed(path, newest=2)


def test_a_log_that_was_cut_off_loses_its_last_line(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    log.write_text('{"step": 1}\n{"step": 2')
    assert read_json_lines(log) == [{"step": 1}]
    log.write_text("[1]\n")
    with pytest.raises(DataError, match="line 1 is not a JSON object"):
        read_json_lines(log)
