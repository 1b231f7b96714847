"""Files that are either whole or not there.

Every write goes to a temporary file beside its target, is flushed to the disk, and takes the target's place
in one rename. A reader, or the next start after `kill -9`, sees the old file or the new one, never a part.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from rnn2vec._errors import DataError, StorageError, UsageError

_REFUSALS = {
    errno.ENOSPC: "no space left",
    errno.EDQUOT: "the quota is used up",
    errno.EFBIG: "a file-size limit",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
}


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path`: temporary file, fsync, rename.

    Raises:
        StorageError: the disk refused the write; what stood at `path` before still stands.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.errno not in _REFUSALS:
            raise
        raise refused(f"{path} could not be written ({len(data):,} bytes)", error) from error


def refused(what: str, error: OSError) -> StorageError:
    """An error for what a disk would not do."""
    remedy = "free some space, or choose another folder, and give the same command again; what was finished is kept."
    return StorageError(f"{what}: {_REFUSALS.get(error.errno or 0, error.strerror)}", remedy=remedy)


def canonical_json(value: Any, *, indent: int | None = None) -> str:
    """JSON with sorted keys: equal values give equal text."""
    return json.dumps(value, sort_keys=True, indent=indent, allow_nan=False)


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` as canonical, indented JSON, atomically."""
    write_atomically(path, (canonical_json(value, indent=1) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DataError: the file is not valid JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} is not valid JSON: {error}", remedy="restore the file, or make its folder again."
        ) from error


def sha256_of(data: bytes) -> str:
    """The SHA-256 checksum of `data`, as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def claim_folder(folder: Path, *, marker: str, kind: str) -> None:
    """Make `folder` ready to be written to, if it is new, empty or already ours.

    Args:
        folder: where the output goes; made with its parents when missing.
        marker: the file that shows that a folder is one of ours, such as `"zoo.json"`.
        kind: what the folder holds, for the error text.

    Raises:
        UsageError: the path is a file or below one, or a folder with other things in it. Nothing is touched.
        StorageError: the disk refused to make the folder.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file, not a folder", remedy=f"choose another folder for the {kind}.")
    if folder.is_dir() and not (folder / marker).exists() and any(not _is_temporary(path) for path in folder.iterdir()):
        article = "an" if kind[0] in "aeiou" else "a"
        raise UsageError(
            f"{folder} exists and is not {article} {kind} (it has no {marker}); nothing in it was touched",
            remedy="choose a new or empty folder with --out.",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except NotADirectoryError as error:
        raise UsageError(f"{folder} cannot be made: it lies below a file", remedy="choose another folder.") from error
    except OSError as error:
        raise refused(f"{folder} could not be made", error) from error


def remove_leftovers(*folders: Path) -> None:
    """Remove the parts of files that killed writers left directly in folders; those of a running process stay."""
    for path in [path for folder in folders for path in folder.glob(".*.tmp")]:
        writer = path.name.split(".")[-2]  # see `write_atomically`
        if path.is_file() and not Path("/proc", writer).exists():
            path.unlink(missing_ok=True)


def _is_temporary(path: Path) -> bool:
    """Whether a killed writer may have left this file behind: a part of a file, or the lock that it held."""
    return path.name.startswith(".") and path.name.endswith((".tmp", ".lock"))
