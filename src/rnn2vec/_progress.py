"""Progress callbacks of long-running library calls."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """Callback that receives the work done and the work to do, in the same unit, every now and then."""

    def __call__(self, done: float, total: float, what: str) -> None:
        """Receive progress: `done` of `total`, and `what` is being worked on."""
        ...


def silent(done: float, total: float, what: str) -> None:
    """Ignore progress."""
