"""The exception family.

Every error that a caller can meet says three things: what was given, what was expected, and what to do
about it. The command line prints exactly that, on one screen and without a traceback, and exits with the
`exit_code` of the class: 2 when the call was wrong, 1 for anything else (a damaged file, a full disk).
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable
from typing import Any, ClassVar

from rnn2vec._text import visible

CODE = "\n     "
"""Prefix of a line of code in a remedy."""


class Rnn2VecError(Exception):
    """Base of every error that rnn2vec raises on purpose.

    Examples:
        >>> error = Rnn2VecError("no runs", remedy="give at least 1.")
        >>> error.remedy
        'give at least 1.'
        >>> error.exit_code
        1

    Control characters in names from files are written out, line breaks too. Only a remedy may have
    further lines: code, each after `CODE`, whose indentation no name from a file can imitate.

    Args:
        problem: what was given and what was expected instead.
        remedy: what the reader can do about it, as an instruction.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, problem: str, *, remedy: str) -> None:
        super().__init__(problem)
        self.problem = visible(problem)
        self.remedy = CODE.join(map(visible, remedy.split(CODE)))

    def __reduce__(self) -> tuple[Any, ...]:
        # An error must survive the way back from a worker process; the default forgets the keyword.
        return functools.partial(type(self), self.problem, remedy=self.remedy), ()

    def __str__(self) -> str:
        return f"{self.problem}\n  -> {self.remedy}"


class UsageError(Rnn2VecError, ValueError):
    """A wrong call: an unknown name, a folder that is not a zoo, RNNs that do not fit the encoder.

    Examples:
        >>> try:
        ...     encoders.build("dwsnets", spec)
        ... except UsageError as error:
        ...     print(error.problem)
        unknown encoder 'dwsnets'
        >>> UsageError.exit_code
        2
        >>> issubclass(UsageError, ValueError)
        True
    """

    exit_code: ClassVar[int] = 2


class BusyError(Rnn2VecError):
    """Another process writes to the same output."""


class DataError(Rnn2VecError):
    """A file that is damaged, incomplete or of another version, or that holds numbers that cannot be right.

    Examples:
        >>> error = DataError("zoo.json is damaged", remedy="restore it.")
        >>> print(error)
        zoo.json is damaged
          -> restore it.
        >>> error.exit_code
        1
    """


class StorageError(Rnn2VecError, OSError):
    """A write that the disk refused: full, over quota, or read-only.

    Examples:
        >>> error = StorageError("the disk is full", remedy="free some space.")
        >>> isinstance(error, OSError)
        True
        >>> error.exit_code
        1
    """


def unknown_name(kind: str, given: str, known: Iterable[str]) -> UsageError:
    """Return the error for a name that is not registered, with the nearest known one.

    Args:
        kind: what is being named, such as `"encoder"`.
        given: the name that was given.
        known: all names there are.
    """
    names = sorted(known)
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.4)
    guess = f"did you mean {near[0]!r}? " if near else ""
    return UsageError(f"unknown {kind} {given!r}", remedy=f"{guess}Known: {', '.join(names)}.")
