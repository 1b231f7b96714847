"""One writer per folder, and a lock that a crash cannot leave behind.

The kernel holds the lock (`flock`) and lets go of it when the process ends, however it ends. The file that is locked
says who holds it; it stays behind after a crash, and then means nothing. A file whose mere existence is the lock was
rejected: after `kill -9` somebody has to find out whether it may be deleted.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path

from rnn2vec._errors import Rnn2VecError
from rnn2vec._files import refused

LOCK = ".writer.lock"
"""The locked file in the folder; there while somebody writes, and after a crash."""


class BusyError(Rnn2VecError):
    """Another process writes to the same folder."""


@contextlib.contextmanager
def only_writer(folder: Path) -> Generator[None]:
    """While it lasts, no other process that asks gets to write to `folder`. Readers do not ask.

    Raises:
        BusyError: another process writes there now.
        StorageError: the folder's file system refused the lock.
    """
    path = folder / LOCK
    descriptor = _acquire(path)
    try:
        with contextlib.suppress(OSError):  # on a full disk the lock holds without its note
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, _note().encode(), 0)
        yield
    finally:
        path.unlink(missing_ok=True)  # while we still hold it: who opened it meanwhile notices and opens again
        os.close(descriptor)


def _acquire(path: Path) -> int:
    """The descriptor of the locked file."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise refused(f"{path} could not be opened", error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(path, descriptor):
                return descriptor
        except BlockingIOError:
            holder = os.pread(descriptor, 1000, 0).decode(errors="replace") or "pid unknown yet"
            os.close(descriptor)
            raise BusyError(
                f"{path.parent} is being written to by another process ({holder})",
                remedy="wait until it is done, or end it and give the same command again; what it finished is kept.",
            ) from None
        except OSError as error:
            os.close(descriptor)
            raise refused(f"{path} could not be locked", error) from error
        os.close(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether the locked file is still the one at its path: its last holder may have removed it before our lock."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _note() -> str:
    return f"pid {os.getpid()} on {socket.gethostname()}, since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
