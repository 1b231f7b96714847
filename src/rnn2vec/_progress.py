"""How long-running library calls say where they are, without knowing who listens."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """Called now and then with the work done and the work to do, in the same unit."""

    def __call__(self, done: float, total: float, what: str) -> None:
        """Take note: `done` of `total`, busy with `what`."""
        ...


def silent(done: float, total: float, what: str) -> None:
    """The listener that does not listen."""
