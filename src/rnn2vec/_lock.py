"""Claims: a single writer per output, and a lock that neither a crash nor a hostile folder can misuse.

`claim` is what every verb that writes a folder does first: it checks that the folder is new, empty or one of ours,
locks it, and removes what killed writers left behind. The kernel holds the lock (`flock`, through `filelock`) and
releases it when the process ends, however it ends. The locked file names its holder and what is being made. It stays
in a folder that was interrupted before its own marker file existed: by it the next claim recognizes the folder.

A file whose mere existence is the lock was rejected: after `kill -9`, a person must find out whether it may be deleted.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
import stat
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from pathlib import Path

from rnn2vec._errors import BusyError, Rnn2VecError, UsageError
from rnn2vec._files import refused

LOCK = ".writer.lock"
"""Name of the locked file in the folder."""
_LARGEST_NOTE = 1000


@contextlib.contextmanager
def claim(folder: Path, *, marker: str, kind: str) -> Generator[None]:
    """Make `folder` ready to be written to, and keep every other writer out while the context lasts.

    Args:
        folder: where the output goes; made with its parents when missing.
        marker: the file that shows that a folder is one of ours, such as `"zoo.json"`.
        kind: what the folder holds, such as `"zoo"`; named in errors.

    Raises:
        UsageError: if the path is a file or below one, or a folder with other things in it. Nothing was touched.
        BusyError: another process writes there now.
        StorageError: if the disk refused to make the folder or the lock.
    """
    _require_ours(folder, marker, kind)
    _make(folder)
    with only_writer(folder, marker=marker, kind=kind):
        _remove_leftovers(folder)
        yield


@contextlib.contextmanager
def only_writer(folder: Path, *, marker: str, kind: str) -> Generator[None]:
    """Keep every other process from writing to a folder that exists; readers do not ask.

    Raises:
        BusyError: another process writes there now.
        StorageError: if the folder's file system refused the lock, or the lock file is not one of ours.
    """
    import filelock  # noqa: PLC0415 (help and readers do without)

    path = folder / LOCK
    lock = filelock.FileLock(path, timeout=0, thread_local=False, on_acquired=functools.partial(_sign, path, kind))
    try:
        lock.acquire()
    except filelock.Timeout:
        raise _busy(path) from None
    except Rnn2VecError:
        raise
    except OSError as error:
        raise refused(f"{path} could not be locked", error) from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # the folder may be gone, or read-only by now
            if (folder / marker).exists() or not any(_others(folder)):
                path.unlink()  # while it is locked: other processes that opened this file notice and open another
        lock.release()


def _remove_leftovers(folder: Path) -> None:
    """Remove the parts of files that killed writers left in a claimed folder, and in those below that have no claim."""
    for path in list(folder.iterdir()):
        if path.name.startswith(".") and path.name.endswith(".tmp") and path.is_file():
            path.unlink(missing_ok=True)
        elif path.is_dir() and not path.is_symlink() and not (path / LOCK).exists():
            _remove_leftovers(path)


def _require_ours(folder: Path, marker: str, kind: str) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file, not a folder", remedy=f"choose another folder for the {kind}.")
    if not folder.is_dir() or (folder / marker).exists() or not any(_others(folder)):
        return
    begun = _note_in(folder / LOCK)
    if begun is not None and begun.get("kind", kind) == kind:
        return
    article = "an" if kind[0] in "aeiou" else "a"
    raise UsageError(
        f"{folder} exists and is not {article} {kind} (it has no {marker}); nothing in it was touched",
        remedy="choose a new or empty folder with --out.",
    )


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except NotADirectoryError as error:
        raise UsageError(f"{folder} cannot be made: it lies below a file", remedy="choose another folder.") from error
    except OSError as error:
        raise refused(f"{folder} could not be made", error) from error


def _others(folder: Path) -> Iterator[Path]:
    """Yield what is in the folder besides the lock."""
    return (path for path in folder.iterdir() if path.name != LOCK)


# -- the note in the locked file -------------------------------------------------------------------


def _sign(path: Path, kind: str, descriptor: int) -> None:
    """Write into the locked file who holds it, unless the file is not a lock of ours."""
    found = os.fstat(descriptor)
    is_ours = stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and _note_in(path) is not None
    if not is_ours:
        raise UsageError(
            f"{path} is in the way: it is not a lock file of rnn2vec; it was not touched",
            remedy="remove it, or choose another folder.",
        )
    since = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
    note = {"kind": kind, "pid": os.getpid(), "host": socket.gethostname(), "since": since}
    with contextlib.suppress(OSError):  # on a full disk the lock holds without its note
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(note).encode(), 0)


def _note_in(path: Path) -> dict[str, str | int] | None:
    """Return the note of a lock file, empty where there is none yet; None for a file that is not a lock of ours."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        with path.open("rb") as file:
            text = file.read(_LARGEST_NOTE)
        note = json.loads(text) if text else {}
    except (OSError, ValueError, RecursionError):
        return None
    return note if isinstance(note, dict) and (not note or {"kind", "pid"} <= note.keys()) else None


def _busy(path: Path) -> BusyError:
    note = _note_in(path) or {}
    holder = f"pid {note['pid']} on {note.get('host')}, since {note.get('since')}" if note else "not named yet"
    return BusyError(
        f"{path.parent} is being written to by another process ({holder})",
        remedy="wait until it is done, or end it and rerun the command; what it finished is kept.",
    )
