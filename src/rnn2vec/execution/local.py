"""Independent pieces of work in processes of their own, on this machine.

Small models gain nothing from a second thread, so pieces that need one core each run side by side instead.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Piece:
    """One piece of work: a module-level function and its arguments."""

    name: str
    """Identifies it in progress and results."""
    function: Callable[..., Any]
    """Called with the arguments and `progress`; must be importable by name."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments."""


def run_pieces(
    pieces: Sequence[Piece], *, workers: int, progress: Callable[[str, float, float, str], None]
) -> dict[str, Any]:
    """Run every piece, at most `workers` at a time, each on one thread; in the order given.

    Args:
        pieces: what to run.
        workers: processes at a time.
        progress: told `(piece, done, total, what)` from this process.

    Returns:
        What each piece returned, by name.

    Raises:
        Exception: what a piece raised; pieces that have not begun are not run then.
    """
    context = multiprocessing.get_context("spawn")
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))  # read by BLAS when a worker loads it
    try:
        with context.Manager() as manager, ProcessPoolExecutor(workers, mp_context=context) as pool:
            reports = manager.Queue()
            futures = {piece.name: pool.submit(_run, piece, reports, os.getpid()) for piece in pieces}
            stop = threading.Event()
            listener = threading.Thread(target=_listen, args=(reports, stop, progress))
            listener.start()
            try:
                finished, waiting = wait(futures.values(), return_when=FIRST_EXCEPTION)
                for future in waiting:
                    future.cancel()
                for future in finished:
                    future.result()
                return {name: future.result() for name, future in futures.items()}
            finally:
                stop.set()
                listener.join()
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def _run(piece: Piece, reports: queue.Queue[tuple[str, float, float, str]], parent: int) -> Any:
    def progress(done: float, total: float, what: str) -> None:
        if os.getppid() != parent:  # the parent was killed: do not go on unheard
            os._exit(1)
        reports.put((piece.name, done, total, what))

    return piece.function(**piece.arguments, progress=progress)


def _listen(
    reports: queue.Queue[tuple[str, float, float, str]],
    stop: threading.Event,
    progress: Callable[[str, float, float, str], None],
) -> None:
    while not stop.is_set():
        try:
            progress(*reports.get(timeout=0.2))
        except queue.Empty:
            continue
