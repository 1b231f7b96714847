"""Files: whole or not there, whatever the disk does; and folders of others are left alone."""

from __future__ import annotations

import errno
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rnn2vec._errors import DataError, StorageError, UsageError
from rnn2vec._files import canonical_json, claim_folder, read_json, sha256_of, write_atomically, write_json

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
        (errno.ENOSPC, "no space left"),
        (errno.EDQUOT, "the quota is used up"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EACCES, "permission denied"),
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


def test_a_new_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    claim_folder(tmp_path / "zoos" / "fl", marker="zoo.json", kind="zoo")
    assert (tmp_path / "zoos" / "fl").is_dir()


@pytest.mark.parametrize("content", [[], ["zoo.json", "shard-0.safetensors"], [".zoo.json.123.tmp"]])
def test_an_empty_folder_ours_or_one_where_we_were_killed_is_taken_as_it_is(tmp_path: Path, content: list[str]) -> None:
    for name in content:
        (tmp_path / name).write_text("kept")
    claim_folder(tmp_path, marker="zoo.json", kind="zoo")
    assert _names(tmp_path) == sorted(content)


@pytest.mark.parametrize("name", ["thesis.tex", ".hidden", "notes.tmp"])
def test_a_folder_of_others_is_refused_and_untouched(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match=r"not a zoo \(it has no zoo\.json\)(.|\n)*choose a new or empty folder"):
        claim_folder(tmp_path, marker="zoo.json", kind="zoo")
    with pytest.raises(UsageError, match="exists and is not an index"):
        claim_folder(tmp_path, marker="index.json", kind="index")
    assert (tmp_path / name).read_text() == "mine"
    assert _names(tmp_path) == [name]


@pytest.mark.parametrize(("below", "words"), [("", "is a file, not a folder"), ("fl/zoo", "lies below a file")])
def test_a_file_in_the_way_is_refused_and_untouched(tmp_path: Path, below: str, words: str) -> None:
    file = tmp_path / "report"
    file.write_text("mine")
    with pytest.raises(UsageError, match=f"report.*{words}(.|\n)*choose another folder"):
        claim_folder(file / below, marker="zoo.json", kind="zoo")
    assert file.read_text() == "mine"


def test_a_disk_that_refuses_a_folder_is_a_storage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StorageError, match=r"fl could not be made: no space left"):
        claim_folder(tmp_path / "fl", marker="zoo.json", kind="zoo")
