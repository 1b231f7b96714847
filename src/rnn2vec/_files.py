"""Files that are either whole or not there, and JSON that can be trusted.

Every write goes to a temporary file beside its target, is flushed to the disk, and takes the target's place
in one rename. A reader, or the next start after `kill -9`, sees the old file or the new one, never a part.
The temporary file has one name for each target and is locked while it is written: a killed writer's leftover is
overwritten by the next writer, and two writers at once cannot mix. A name with a process number was rejected: it says
nothing about containers, where every process is number 1.

Our own files may come from a hub or be damaged like any other. `read_json` reads regular files only, bounds their
size, nesting and numbers, and `read_sealed` verifies the checksum that `write_sealed` stored.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import math
import os
import stat
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from rnn2vec._errors import BusyError, DataError, StorageError, UsageError

LARGEST_JSON = 8 * 2**20
"""Bytes of a JSON file: the manifest of 30,000 shards."""
LARGEST_TEXT = 256 * 2**20
"""Bytes of a log of JSON lines."""
_DEEPEST = 40  # levels of lists and objects
_LARGEST_INTEGER = 2**63  # what Parquet and NumPy hold

_NO_ROOM = {
    errno.ENOSPC: "no space left",
    errno.EDQUOT: "the quota is used up",
    errno.EFBIG: "a file-size limit",
}
_NO_RIGHT = {
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "the operation is not permitted",
}
_REFUSALS = _NO_ROOM | _NO_RIGHT


# -- writing ---------------------------------------------------------------------------------------


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path`: temporary file, fsync, rename.

    Raises:
        BusyError: if another process is writing the same file.
        StorageError: if the disk refused the write; what stood at `path` before still stands.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with _locked(temporary) as file:
            try:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        raise refused(f"{path} could not be written ({len(data):,} bytes)", error) from error


@contextlib.contextmanager
def _locked(temporary: Path) -> Generator[BinaryIO]:
    """Open a temporary file, empty and locked; a leftover is reused, a link is replaced."""
    while True:
        descriptor = _open_temporary(temporary)
        with os.fdopen(descriptor, "wb") as file:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BusyError(
                    f"{temporary} is being written by another process", remedy="wait until it is done, then try again."
                ) from error
            except OSError as error:
                if error.errno not in {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}:
                    raise  # file systems without locks: outputs are claimed, so two writers do not meet here
            if os.fstat(descriptor).st_nlink != 1:  # its last writer renamed or removed it before our lock
                continue
            os.ftruncate(descriptor, 0)
            yield file
            return


def _open_temporary(temporary: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    with contextlib.suppress(OSError):
        found = temporary.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            temporary.unlink()
    return os.open(temporary, flags, 0o666)


def refused(what: str, error: OSError) -> StorageError:
    """Return the error for a write that the system refused, with advice that fits the reason."""
    if error.errno in _NO_RIGHT:
        remedy = "choose a folder that you may write to, or change its permissions, and rerun the command."
    elif error.errno in _NO_ROOM:
        remedy = "free some space, or choose another folder, and rerun the command; what was finished is kept."
    else:
        remedy = "check the path and the disk, and rerun the command; what was finished is kept."
    return StorageError(f"{what}: {_REFUSALS.get(error.errno or 0, error.strerror)}", remedy=remedy)


def canonical_json(value: Any, *, indent: int | None = None) -> str:
    """Return JSON with sorted keys: equal values give equal text."""
    return json.dumps(value, sort_keys=True, indent=indent, allow_nan=False)


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` as canonical, indented JSON, atomically."""
    write_atomically(path, (canonical_json(value, indent=1) + "\n").encode())


def write_sealed(path: Path, value: dict[str, Any], *, indent: int | None = 1) -> None:
    """Write a JSON object with its own checksum, so that `read_sealed` notices any later change."""
    sealed = {**value, "checksum": sha256_of(canonical_json(value).encode())}
    write_atomically(path, (canonical_json(sealed, indent=indent) + "\n").encode())


# -- reading ---------------------------------------------------------------------------------------


def read_bytes(path: Path, *, largest: int) -> bytes:
    """Read a regular file of bounded size.

    Args:
        path: file to read.
        largest: bytes that it may have.

    Raises:
        UsageError: if the path is not a regular file (a folder, a FIFO, a device).
        DataError: if the file is larger, or cannot be read.
    """
    require_regular(path, largest=largest)
    try:
        with path.open("rb") as file:
            data = file.read(largest + 1)
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}", remedy="check its permissions and the disk."
        ) from error
    if len(data) > largest:
        raise _too_large(path, len(data), largest)
    return data


def require_regular(path: Path, *, largest: int) -> None:
    """Check that a path is a regular file of at most `largest` bytes, without opening it.

    Raises:
        UsageError: if the path is missing, or is a folder, a FIFO or a device.
        DataError: if the file is larger.
    """
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"{path} cannot be read: {reason}", remedy="give the path of a readable file.") from error
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a device or pipe"
        raise UsageError(f"{path} is {kind}, not a file", remedy="give the path of a regular file.")
    if found.st_size > largest:
        raise _too_large(path, found.st_size, largest)


def _too_large(path: Path, size: int, largest: int) -> DataError:
    return DataError(
        f"{path} has {size:,} bytes, more than the {largest:,} that such a file may have",
        remedy="check that it is the right file; restore it if it was damaged.",
    )


def read_json(path: Path) -> Any:
    """Read a JSON file, with bounds on its size, its nesting and its numbers.

    Raises:
        UsageError: if the path is not a regular file.
        DataError: if the file is too large, not valid JSON, nested too deeply, or holds a number out of bounds.
    """
    return parse_json(read_bytes(path, largest=LARGEST_JSON), where=str(path))


def parse_json(data: bytes, *, where: str) -> Any:
    """Parse JSON within the bounds of `read_json`; `where` names its origin in errors.

    Raises:
        DataError: as for `read_json`.
    """
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_object, parse_constant=_refuse_constant)
        for number in _leaves(value):
            _require_moderate(number)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else _short(str(error))
        raise DataError(
            f"{where} is not valid JSON: {reason}", remedy="restore the file, or make its folder again."
        ) from error
    return value


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Read a log of JSON objects, one a line; a last line without an end, as a kill leaves it, is dropped.

    Raises:
        UsageError: if the path is not a regular file.
        DataError: if the file is too large, or a line is not an object within the bounds of `read_json`.
    """
    lines = read_bytes(path, largest=LARGEST_TEXT).splitlines(keepends=True)
    values = [parse_json(line, where=f"{path}, line {n}") for n, line in enumerate(lines, 1) if line.endswith(b"\n")]
    for number, value in enumerate(values, 1):
        if not isinstance(value, dict):
            raise DataError(
                f"{path}, line {number} is not a JSON object", remedy="restore the file, or make its folder again."
            )
    return values


def read_sealed(path: Path, *, newest: int, without_version: int | None = None) -> dict[str, Any]:
    """Read a JSON object that `write_sealed` wrote, and verify its checksum; version 1 of our formats had none.

    Args:
        path: file to read.
        newest: last `format_version` that the caller reads.
        without_version: version of an object that names none; None refuses such.

    Returns:
        The object without its checksum.

    Raises:
        UsageError: if the path is not a regular file.
        DataError: if the file is not a JSON object, is of a newer version, or was changed since it was written.
    """
    data = read_bytes(path, largest=LARGEST_JSON)
    value = parse_json(data, where=str(path))
    version = value.get("format_version", without_version) if isinstance(value, dict) else None
    if type(version) is not int:
        raise DataError(f"{path} names no format version", remedy="restore the file, or make its folder again.")
    if version > newest:
        raise DataError(
            f"{path.parent} has format version {version}; this rnn2vec reads up to {newest}",
            remedy="upgrade it: pip install --upgrade rnn2vec.",
        )
    if version > 1 or "checksum" in value:
        texts = {(canonical_json(value, indent=indent) + "\n").encode() for indent in (None, 1)}
        stated = value.pop("checksum", None)
        if stated != sha256_of(canonical_json(value).encode()) or data not in texts:
            raise DataError(
                f"{path} was changed since it was written: its checksum does not fit its contents",
                remedy="restore the file, or make its folder again.",
            )
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("an object has a key twice")
    return values


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


def _leaves(value: Any) -> Iterator[Any]:
    """Yield the leaves of nested lists and objects.

    Raises:
        ValueError: if the nesting is too deep.
    """
    level = [value]
    for _ in range(_DEEPEST):
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                below += one.values()
            elif isinstance(one, list):
                below += one
            else:
                yield one
        if not below:
            return
        level = below
    raise ValueError(f"it is nested more than {_DEEPEST} levels deep")


def _require_moderate(number: Any) -> None:
    if isinstance(number, float) and not math.isfinite(number):
        raise ValueError("a number is too large for a float")
    if isinstance(number, int) and abs(number) >= _LARGEST_INTEGER:
        raise ValueError(f"an integer has {len(str(abs(number)))} digits")


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}..."


def sha256_of(data: bytes) -> str:
    """Return the SHA-256 checksum of `data`, as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def cache_folder(name: str) -> Path:
    """Return the folder of one kind of downloads: `rnn2vec/NAME` in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "rnn2vec" / name
