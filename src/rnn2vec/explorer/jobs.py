"""Work in the background: each piece runs once, in a thread of its own queue, and its result stays.

Threads are daemons, so that Ctrl-C does not wait for a map that takes minutes.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any


class Pending(Exception):  # noqa: N818 (not an error: the answer is "later")
    """A result that is not there yet.

    Args:
        name: name of the piece of work.
        seconds: time since it was asked for.
    """

    def __init__(self, name: str, seconds: float) -> None:
        super().__init__(f"{name} is being computed")
        self.name = name
        self.seconds = seconds


class _Job:
    """A piece of work and, later, its result or its error."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self._result: Any = None
        self._error: Exception | None = None
        self.asked = time.monotonic()
        self.is_done = threading.Event()

    def run(self) -> None:
        try:
            self._result = self._work()
        except Exception as error:  # noqa: BLE001 (raised again where the result is asked for)
            self._error = error
        self.is_done.set()

    @property
    def has_result(self) -> bool:
        return self.is_done.is_set() and self._error is None

    def result(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._result


class Jobs:
    """Pieces of work by name, done one after another in a thread."""

    def __init__(self) -> None:
        self._jobs: dict[str, _Job] = {}
        self._waiting: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._lock = threading.Lock()
        threading.Thread(target=self._run, daemon=True, name="rnn2vec explorer").start()

    def start(self, name: str, work: Callable[[], Any]) -> None:
        """Queue a piece of work, unless one of that name is there already."""
        with self._lock:
            if name not in self._jobs:
                self._jobs[name] = _Job(work)
                self._waiting.put(self._jobs[name])

    def result(self, name: str, *, wait: float = 0.0) -> Any:
        """Return the result of a piece of work that was started, or raise its error.

        Args:
            name: name of the piece of work.
            wait: seconds to wait for it.

        Raises:
            Pending: it is not done yet.
        """
        job = self._jobs[name]
        if not job.is_done.wait(wait):
            raise Pending(name, time.monotonic() - job.asked)
        return job.result()

    def is_done(self, name: str) -> bool:
        """Return True if a piece of work that was started has a result."""
        return self._jobs[name].has_result

    def _run(self) -> None:
        while True:
            self._waiting.get().run()
