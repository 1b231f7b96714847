"""Independent pieces of work in separate processes on this machine.

Small models do not benefit from a second thread, so single-threaded pieces run in parallel instead.
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, FIRST_EXCEPTION, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from typing import Any, cast

from rnn2vec._errors import Rnn2VecError, UsageError

_SECONDS_BETWEEN_LOOKS = 0.05
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

Report = tuple[str, float, float, str]
"""Progress of a piece: its name, the amount done, the total amount, and a description of the current part."""


@dataclass(frozen=True)
class Piece:
    """A piece of work: a module-level function and its arguments."""

    name: str
    """Name in progress reports and results."""
    function: Callable[..., Any]
    """Function to call with the arguments and `progress`; it must be importable by name."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments."""
    takes_device: bool = False
    """True if `try_pieces` must also pass `device=`, a device that is free when the piece starts."""


class _Line:
    """A worker's connection to its parent; set when the worker starts."""

    reports: SimpleQueue[Report]
    failed: Event


_LINE = _Line()


class WorkerError(Rnn2VecError):
    """Raised when a worker process is killed."""


def run_pieces(
    pieces: Sequence[Piece], *, workers: int, progress: Callable[[str, float, float, str], None]
) -> dict[str, Any]:
    """Run every piece in the given order, at most `workers` at a time, each on one thread.

    Args:
        pieces: pieces with distinct names.
        workers: number of concurrent processes.
        progress: callback with the piece's name, the amount done, the total and a description; runs in this process.

    Returns:
        The result of each piece, by name.

    Raises:
        UsageError: if `workers` is below 1, or two pieces have the same name.
        WorkerError: if a process was killed, as happens when memory runs out.
        Exception: if a piece raises. Running pieces finish first; the remaining ones are not started.
    """
    _require_runnable(pieces, workers)
    names = [piece.name for piece in pieces]
    context = multiprocessing.get_context("spawn")
    reports, failed = context.SimpleQueue(), context.Event()
    stopped, stop = cast("tuple[Connection, Connection]", multiprocessing.Pipe(duplex=False))
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(reports, failed, stopped))
    with _one_thread_each(), _listening(reports, progress), pool, _ending_workers(stop):
        with _interruptions_held():  # new processes inherit that: Ctrl-C is the parent's to answer
            futures = {piece.name: pool.submit(_run, piece) for piece in pieces}
        finished, _ = wait(futures.values(), return_when=FIRST_EXCEPTION)
        try:
            for future in finished:
                future.result()  # raises what the first failed piece raised
        except BrokenProcessPool as error:
            raise WorkerError(
                f"a process was killed while {', '.join(names)} ran",
                remedy="the usual cause is lack of memory: rerun the command with fewer workers.",
            ) from error
        return {name: future.result() for name, future in futures.items()}


def try_pieces(
    pieces: Sequence[Piece],
    *,
    devices: Sequence[str],
    progress: Callable[[str, float, float, str], None],
    after: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Run every piece like `run_pieces`, even if others fail.

    Each piece runs in its own process, so a process that the system kills does not affect other pieces.

    Args:
        pieces: pieces with distinct names.
        devices: a device for each concurrent piece, such as `("cpu", "cpu")` for two (see `execution.devices.spread`).
        progress: callback with the piece's name, the amount done, the total and a description; runs in one thread per
            device.
        after: dependencies by name: a piece starts when the piece that it depends on has ended, successfully or not;
            meanwhile later pieces may start. Dependencies on names that are not among the pieces are ignored.

    Returns:
        The result of each piece or the exception that it raised, by name.

    Raises:
        UsageError: if there is no device, two pieces have the same name, or a piece depends on a later one.
    """
    _require_runnable(pieces, len(devices))
    after = after or {}
    _require_in_order([piece.name for piece in pieces], after)

    def attempt(piece: Piece, device: str) -> Any:
        given = {"device": device} if piece.takes_device else {}
        piece = dataclasses.replace(piece, arguments={**piece.arguments, **given})
        try:
            return run_pieces([piece], workers=1, progress=progress)[piece.name]
        except Exception as error:  # noqa: BLE001 (the other pieces continue)
            return error

    waiting, free = {piece.name: piece for piece in pieces}, list(devices)
    running: dict[Future[Any], tuple[str, str]] = {}  # name and device of each running piece
    outcomes: dict[str, Any] = {}
    with _one_thread_each(), ThreadPoolExecutor(len(devices)) as threads, _ending_workers():
        while waiting or running:  # an interruption also ends the running pieces; waiting ones never start
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
        raise UsageError(f"two pieces with the same name among {', '.join(names)}", remedy="give each its own name.")


def _require_in_order(names: Sequence[str], after: Mapping[str, str]) -> None:
    """Require each piece after its dependency, so that the first waiting piece can start whenever none is running."""
    for place, name in enumerate(names):
        if after.get(name) in names[place:]:
            raise UsageError(f"{name} comes before {after[name]}, which it needs", remedy="reverse their order.")


@contextlib.contextmanager
def _one_thread_each() -> Generator[None]:
    """Limit BLAS to one thread in processes started inside the context; BLAS reads the variables when loaded."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


_STOPS: set[Connection] = set()
"""Ends of pipes to the workers of this process; closing one ends those workers."""


@contextlib.contextmanager
def _ending_workers(*stops: Connection) -> Generator[None]:
    """End all workers of this process, rather than wait for their pieces, when the context is interrupted."""
    _STOPS.update(stops)
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        for stop in list(_STOPS):
            stop.close()
        raise
    finally:
        _STOPS.difference_update(stops)


@contextlib.contextmanager
def _interruptions_held() -> Generator[None]:
    """Hold SIGINT back in this thread while the context lasts."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(reports: SimpleQueue[Report], failed: Event, stopped: Connection) -> None:
    """Set up a worker process."""
    _LINE.reports, _LINE.failed = reports, failed
    threading.Thread(target=_leave_with_parent, args=(stopped,), daemon=True).start()


def _leave_with_parent(stopped: Connection) -> None:
    """Exit when the parent ends or closes its end of the pipe: a killed parent cannot stop its workers."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel, stopped])
        os._exit(1)


def _run(piece: Piece) -> Any:
    """Run a piece in its worker, unless another piece has failed."""
    if _LINE.failed.is_set():  # pieces that the pool has already queued cannot be cancelled
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
    """Forward reports from a thread inside the context; on exit, all reports have been forwarded."""
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
            pass_on(lambda *_: None)  # after an error too, or workers would block on a full pipe

    with ThreadPoolExecutor(1) as thread:
        listener = thread.submit(listen)
        try:
            yield
        finally:
            over.set()
    listener.result()
