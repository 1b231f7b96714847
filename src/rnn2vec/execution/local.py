"""Independent pieces of work in processes of their own, on this machine.

Small models gain nothing from a second thread, so pieces that need one core each run side by side instead.
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, FIRST_EXCEPTION, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from typing import Any

from rnn2vec._errors import Rnn2VecError, UsageError

_SECONDS_BETWEEN_LOOKS = 0.05
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

Report = tuple[str, float, float, str]
"""`(piece, done, total, what)`."""


@dataclass(frozen=True)
class Piece:
    """One piece of work: a module-level function and its arguments."""

    name: str
    """Identifies it in progress and results."""
    function: Callable[..., Any]
    """Called with the arguments and `progress`; must be importable by name."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments."""
    takes_device: bool = False
    """Whether `try_pieces` gives it `device=` too, one that is free when it begins."""


class _Line:
    """A worker's line to its parent; set when the worker begins."""

    reports: SimpleQueue[Report]
    failed: Event


_LINE = _Line()


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
    _require_runnable(pieces, workers)
    names = [piece.name for piece in pieces]
    context = multiprocessing.get_context("spawn")
    reports, failed = context.SimpleQueue(), context.Event()
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(reports, failed))
    with _one_thread_each(), _listening(reports, progress), pool:
        futures = {piece.name: pool.submit(_run, piece) for piece in pieces}
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


def try_pieces(
    pieces: Sequence[Piece],
    *,
    devices: Sequence[str],
    progress: Callable[[str, float, float, str], None],
    after: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Run every piece as `run_pieces` does, whatever becomes of the others.

    Each piece has a process of its own: one that the system kills takes no other with it.

    Args:
        pieces: what to run; their names differ.
        devices: one for each piece at a time, such as two times `cpu` for two (see `execution.devices.spread`).
        progress: told `(piece, done, total, what)`, from one thread for each device.
        after: for pieces that need another, its name: they begin when it is over, however it ended. Until then those
            behind them are begun. A name that is not among the pieces holds nothing up.

    Returns:
        What each piece returned, or the exception that it raised, by name.

    Raises:
        UsageError: no device, two pieces of one name, or a piece that is to come after one behind it.
    """
    _require_runnable(pieces, len(devices))
    after = after or {}
    _require_in_order([piece.name for piece in pieces], after)

    def attempt(piece: Piece, device: str) -> Any:
        given = {"device": device} if piece.takes_device else {}
        piece = dataclasses.replace(piece, arguments={**piece.arguments, **given})
        try:
            return run_pieces([piece], workers=1, progress=progress)[piece.name]
        except Exception as error:  # noqa: BLE001 (whatever it is, the others go on)
            return error

    waiting, free = {piece.name: piece for piece in pieces}, list(devices)
    running: dict[Future[Any], tuple[str, str]] = {}  # a piece, and the device that it took
    outcomes: dict[str, Any] = {}
    with _one_thread_each(), ThreadPoolExecutor(len(devices)) as threads:
        while waiting or running:  # an interruption ends it: what runs hears of it too, what waits does not begin
            unfinished = {*waiting, *(name for name, _ in running.values())}
            ready = [name for name in waiting if after.get(name) not in unfinished]
            for name in ready[: len(free)]:
                device = free.pop(0)
                running[threads.submit(attempt, waiting.pop(name), device)] = name, device
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                name, device = running.pop(future)
                free.append(device)
                outcomes[name] = future.result()
    return {piece.name: outcomes[piece.name] for piece in pieces}


def _require_runnable(pieces: Sequence[Piece], workers: int) -> None:
    if workers < 1:
        raise UsageError(f"workers={workers}", remedy="give at least 1.")
    names = [piece.name for piece in pieces]
    if len(set(names)) < len(names):
        raise UsageError(f"two pieces of one name among {', '.join(names)}", remedy="name each differently.")


def _require_in_order(names: Sequence[str], after: Mapping[str, str]) -> None:
    """With each piece behind the one that it needs, the first that waits can always begin once nothing runs."""
    for place, name in enumerate(names):
        if after.get(name) in names[place:]:
            raise UsageError(f"{name} before {after[name]}, which it needs", remedy="give them the other way round.")


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


def _begin(reports: SimpleQueue[Report], failed: Event) -> None:
    """What a worker does first."""
    _LINE.reports, _LINE.failed = reports, failed
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    """A parent that was killed cannot stop its workers, and idle ones would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run(piece: Piece) -> Any:
    """One piece, in its worker."""
    if _LINE.failed.is_set():  # the pool keeps a few pieces in its queue where they cannot be cancelled
        return None
    try:
        return piece.function(
            **piece.arguments, progress=lambda done, total, what: _LINE.reports.put((piece.name, done, total, what))
        )
    except BaseException:
        _LINE.failed.set()
        raise


@contextlib.contextmanager
def _listening(reports: SimpleQueue[Report], progress: Callable[[str, float, float, str], None]) -> Generator[None]:
    """While it lasts, pass reports on from a thread; at the end, all that were made have been."""
    over = threading.Event()

    def pass_on(to: Callable[[str, float, float, str], None]) -> None:
        while not (over.is_set() and reports.empty()):
            if reports.empty():
                over.wait(_SECONDS_BETWEEN_LOOKS)
            else:
                to(*reports.get())

    def listen() -> None:
        try:
            pass_on(progress)
        finally:
            pass_on(lambda *_: None)  # after an error too: workers would wait at a full pipe

    with ThreadPoolExecutor(1) as thread:
        listener = thread.submit(listen)
        try:
            yield
        finally:
            over.set()
    listener.result()
