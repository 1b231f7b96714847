"""Run a command line in a forked child of this process, and do something to it: kill it, pause it, refuse its writes.

Forking takes milliseconds where a new process takes the seconds of importing torch. The parent only imports: it never
computes a gradient, after which torch refuses to compute any in a child.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np  # noqa: F401 (loaded before the fork)
import torch

from rnn2vec._errors import Rnn2VecError
from rnn2vec._provenance import source_commit
from rnn2vec.cli import main
from rnn2vec.embedding import many_files  # noqa: F401
from rnn2vec.emulation import pretrain  # noqa: F401
from rnn2vec.index import index  # noqa: F401
from rnn2vec.zoo import build  # noqa: F401

torch.set_num_threads(1)
source_commit()  # remembered: it is part of what is compared, and may change while the campaign runs

FILE_EVENTS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink"}
CPU_SECONDS = 60
"""Processor time after which a child is killed, as computing for ever."""
WALL_SECONDS = 300.0
"""Time after which a child is killed, as waiting for ever: long, since a busy machine leaves a child little."""
CRASHED = 70
"""Exit code of a child in which an exception escaped from the command line."""


@dataclass(frozen=True)
class Ended:
    """How a child ended."""

    code: int
    """Exit code; minus the number of the signal that ended it."""
    said: str
    """Its stdout and stderr."""
    seconds: float
    """Processor time."""
    megabytes: float
    """Growth of its memory at the highest, beyond what it had at the fork."""
    events: int
    """Events on files below its folder."""

    @property
    def has_traceback(self) -> bool:
        """Whether an exception escaped."""
        return self.code == CRASHED or "Traceback (most recent call last)" in self.said


class Child:
    """A command line in a child.

    Args:
        arguments: the command line, or a function to call.
        folder: whose file events count.
        log: file for its output.
        at_event: called in the child before event number `n`, from 0.
        prepare: called in the child first.
        note_modules: file for the names of all modules that it has loaded in the end.
    """

    def __init__(
        self,
        arguments: Sequence[str] | Callable[[], int | None],
        folder: Path,
        log: Path,
        *,
        at_event: Callable[[int], None] = lambda _: None,
        prepare: Callable[[], None] = lambda: None,
        note_modules: Path | None = None,
    ) -> None:
        self._log = log
        self._note_modules = note_modules
        self._count = log.with_suffix(".events")
        self._count.write_text("0")
        log.write_bytes(b"")
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if not self.pid:
            self._run(arguments, folder, at_event, prepare)

    def _run(
        self,
        arguments: Sequence[str] | Callable[[], int | None],
        folder: Path,
        at_event: Callable[[int], None],
        prepare: Callable[[], None],
    ) -> None:
        code = CRASHED
        try:
            os.setsid()
            descriptor = os.open(self._log, os.O_WRONLY | os.O_APPEND)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            sys.stdout, sys.stderr = os.fdopen(1, "w", buffering=1), os.fdopen(2, "w", buffering=1)
            with contextlib.suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5")
            resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
            prepare()
            _watch(folder, self._count, at_event)
            code = (arguments() or 0) if callable(arguments) else main(arguments)
        except Rnn2VecError as error:  # of functions that are called without the command line
            sys.stderr.write(f"{error}\n")
            code = error.exit_code
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except BaseException:  # noqa: BLE001 (that is what is looked for)
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            if self._note_modules is not None:
                self._note_modules.write_text("\n".join(sys.modules))
            _write_memory(self._log.with_suffix(".memory"))
            os._exit(code)

    def wait(self) -> Ended:
        """Return how it ended; it is killed, as hanging, after `WALL_SECONDS`."""
        deadline = time.monotonic() + WALL_SECONDS
        while True:
            pid, status, used = os.wait4(self.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > deadline:
                self.kill()
            time.sleep(0.002)
        memory = self._log.with_suffix(".memory")
        grown = float(memory.read_text()) if memory.exists() else 0.0
        memory.unlink(missing_ok=True)
        said = self._log.read_bytes().decode(errors="replace")
        seconds = used.ru_utime + used.ru_stime
        return Ended(os.waitstatus_to_exitcode(status), said, seconds, grown, int(self._count.read_text() or 0))

    def kill(self) -> None:
        """Kill it and its workers with SIGKILL."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


def run(arguments: Sequence[str] | Callable[[], int | None], folder: Path, log: Path, **options: object) -> Ended:
    """Run a command line to its end; see `Child`."""
    return Child(arguments, folder, log, **options).wait()  # pyright: ignore[reportArgumentType]


def import_all(names: Iterable[str]) -> None:
    """Import modules, but for those that are made while a program runs."""
    for name in names:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def kill_at(event: int) -> Callable[[int], None]:
    """Kill the child before an event."""

    def at_event(number: int) -> None:
        if number == event:
            os.killpg(os.getpid(), signal.SIGKILL)

    return at_event


def pause_at(event: int, *, reached: Path, resume: Path, limit: float = 60.0) -> Callable[[int], None]:
    """Stop the child before an event, telling so by a file, until another file is there."""

    def at_event(number: int) -> None:
        if number != event:
            return
        descriptor = os.open(reached, os.O_CREAT | os.O_WRONLY)
        os.close(descriptor)
        deadline = time.monotonic() + limit
        while not os.access(resume, os.F_OK) and time.monotonic() < deadline:
            time.sleep(0.002)

    return at_event


def _watch(folder: Path, count: Path, at_event: Callable[[int], None]) -> None:
    """Count events on files below a folder from now on: opening to write, renaming, removing, flushing."""
    number = 0
    root = str(folder)
    descriptor = os.open(count, os.O_WRONLY)

    def happens() -> None:
        nonlocal number
        at_event(number)
        number += 1
        os.pwrite(descriptor, str(number).encode(), 0)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            is_write = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if is_write and str(path).startswith(root):
                happens()
        elif event in FILE_EVENTS and any(str(one).startswith(root) for one in arguments):
            happens()

    flush = os.fsync

    def fsync(descriptor: int) -> None:  # half of what was written is there when the child is killed here
        happens()
        flush(descriptor)

    os.fsync = fsync
    sys.addaudithook(hook)


def _write_memory(path: Path) -> None:
    peak = now = 0.0
    with contextlib.suppress(Exception):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                peak = float(line.split()[1]) / 1024
        now = _BASE_MEGABYTES
        path.write_text(str(max(0.0, peak - now)))


def remember_memory() -> None:
    """Take the memory of this process as what importing takes."""
    global _BASE_MEGABYTES  # noqa: PLW0603
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            _BASE_MEGABYTES = float(line.split()[1]) / 1024


_BASE_MEGABYTES = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
