"""Independent pieces of work in processes of their own, on this machine.

Small models gain nothing from a second thread, so pieces that need one core each run side by side instead.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Any, cast

from rnn2vec._errors import Rnn2VecError, UsageError

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

Report = tuple[str, float, float, str]
"""`(piece, done, total, what)`."""
Reports = Any
"""A manager's queue of reports, None after the last; a proxy, which is no `queue.Queue`."""


@dataclass(frozen=True)
class Piece:
    """One piece of work: a module-level function and its arguments."""

    name: str
    """Identifies it in progress and results."""
    function: Callable[..., Any]
    """Called with the arguments and `progress`; must be importable by name."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments."""


class WorkerError(Rnn2VecError):
    """A worker process came to an end that it did not choose."""


def run_pieces(
    pieces: Sequence[Piece], *, workers: int, progress: Callable[[str, float, float, str], None]
) -> dict[str, Any]:
    """Run every piece, at most `workers` at a time, each on one thread; in the order given.

    Args:
        pieces: what to run; their names differ.
        workers: processes at a time.
        progress: told `(piece, done, total, what)` from this process.

    Returns:
        What each piece returned, by name.

    Raises:
        UsageError: no workers, or two pieces of one name.
        WorkerError: a process was killed, as happens when memory runs out.
        Exception: what a piece raised. Pieces that run finish first; those that have not begun are not run.
    """
    if workers < 1:
        raise UsageError(f"workers={workers}", remedy="give at least 1.")
    names = [piece.name for piece in pieces]
    if len(set(names)) < len(names):
        raise UsageError(f"two pieces of one name among {', '.join(names)}", remedy="name each differently.")
    context = multiprocessing.get_context("spawn")
    with _one_thread_each(), context.Manager() as manager, ProcessPoolExecutor(workers, mp_context=context) as pool:
        reports, failed = manager.Queue(), manager.Event()
        with _listening(reports, progress):
            futures = {piece.name: pool.submit(_run, piece, reports, failed, os.getpid()) for piece in pieces}
            finished, _ = wait(futures.values(), return_when=FIRST_EXCEPTION)
            try:
                for future in finished:
                    future.result()  # raises what the first failed piece raised
            except BrokenProcessPool as error:
                raise WorkerError(
                    f"a process was killed while {', '.join(names)} ran",
                    remedy="most often memory ran out: take fewer workers and give the same command again.",
                ) from error
            return {name: future.result() for name, future in futures.items()}


@contextlib.contextmanager
def _one_thread_each() -> Generator[None]:
    """While it lasts, new processes use one thread for BLAS, which reads this when a worker loads it."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def _run(piece: Piece, reports: Reports, failed: Any, parent: int) -> Any:
    """One piece, in its worker."""

    def progress(done: float, total: float, what: str) -> None:
        if os.getppid() != parent:  # the parent was killed: do not go on unheard
            os._exit(1)
        reports.put((piece.name, done, total, what))

    if failed.is_set():  # the pool keeps a few pieces in its queue where they cannot be cancelled
        return None
    try:
        return piece.function(**piece.arguments, progress=progress)
    except BaseException:
        failed.set()
        raise


@contextlib.contextmanager
def _listening(reports: Reports, progress: Callable[[str, float, float, str], None]) -> Generator[None]:
    """While it lasts, pass reports on from a thread; at the end, all that were made have been."""

    def listen() -> None:
        while (report := cast("Report | None", reports.get())) is not None:
            progress(*report)

    with ThreadPoolExecutor(1) as thread:
        listener = thread.submit(listen)
        try:
            yield
        finally:
            reports.put(None)
    listener.result()
