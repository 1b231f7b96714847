"""The exception family.

Every error that a caller can meet says three things: what was given, what was expected, and what to do
about it. The command line prints exactly that, on one screen and without a traceback, and leaves with the
`exit_code` of the class: 2 when the call was wrong, 1 when the world was (a damaged file, a full disk).
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable
from typing import Any, ClassVar


class Rnn2VecError(Exception):
    """The base of every error that rnn2vec raises on purpose.

    Args:
        problem: what was given and what was expected instead.
        remedy: what the reader can do about it, as an instruction.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, problem: str, *, remedy: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy

    def __reduce__(self) -> tuple[Any, ...]:
        # An error must survive the way back from a worker process; the default forgets the keyword.
        return functools.partial(type(self), self.problem, remedy=self.remedy), ()

    def __str__(self) -> str:
        return f"{self.problem}\n  -> {self.remedy}"


class UsageError(Rnn2VecError, ValueError):
    """The call was wrong: an unknown name, a folder that is not a zoo, RNNs that do not fit the encoder."""

    exit_code: ClassVar[int] = 2


class DataError(Rnn2VecError):
    """A file is damaged, incomplete or of another version, or holds numbers that cannot be right."""


class StorageError(Rnn2VecError, OSError):
    """The disk refused a write: full, over quota, or read-only."""


def unknown_name(kind: str, given: str, known: Iterable[str]) -> UsageError:
    """An error for a name that is not registered, with the nearest known one.

    Args:
        kind: what is being named, such as `"encoder"`.
        given: the name that was given.
        known: all names there are.
    """
    names = sorted(known)
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.4)
    guess = f"did you mean {near[0]!r}? " if near else ""
    return UsageError(f"unknown {kind} {given!r}", remedy=f"{guess}Known: {', '.join(names)}.")
