"""Who asks and who counts: interrogators get to see nothing but answers, and the examiner counts them.

An interrogator is made for a function set and then examined. An *interactive* one is handed `ask`, behind which
are the function and the counter; a *non-interactive* one has to name all its probes before the first answer is
given, so it cannot be interactive by accident. (The alternative, interrogators that report their own number of
calls, would have to be believed.)
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from rnn2vec._errors import Rnn2VecError, UsageError
from rnn2vec.experiments.interrogation.functions import TotalFunction

Ask = Callable[[Hashable], Hashable]
"""One interaction: an input, and the function's answer."""


class BudgetSpentError(Rnn2VecError):
    """An interrogator asked once more than it was allowed to."""


@runtime_checkable
class Interactive(Protocol):
    """An interrogator whose probes may depend on the answers before."""

    def interrogate(self, ask: Ask) -> Hashable:
        """Ask, and name the function's identity; None when unsure."""
        ...


@runtime_checkable
class NonInteractive(Protocol):
    """An interrogator with fixed probes."""

    @property
    def probes(self) -> Sequence[Hashable]:
        """All that it will ask."""
        ...

    def conclude(self, answers: Sequence[Hashable]) -> Hashable:
        """Name the identity, given the answers in the order of the probes; None when unsure."""
        ...


@dataclass(frozen=True)
class Examination:
    """How one interrogator did with one function."""

    identity: Hashable
    """What it named."""
    calls: int
    """How often the function was called."""


@dataclass(frozen=True)
class Record:
    """How one interrogator did with many functions."""

    worst_calls: int
    """Most calls for one function."""
    mean_calls: float
    """Calls on average."""
    num_wrong: int
    """Functions that were not named right."""


def examine(
    interrogator: Interactive | NonInteractive, function: TotalFunction, *, budget: int | None = None
) -> Examination:
    """Let an interrogator question one function, and count.

    Args:
        interrogator: made for a set that the function is in.
        function: what it has to name.
        budget: most calls that are answered; None for as many as it likes.

    Raises:
        BudgetSpentError: it asked more often.
    """
    calls = 0

    def ask(x: Hashable) -> Hashable:
        nonlocal calls
        if calls == budget:
            raise BudgetSpentError(f"more than {budget} calls", remedy="give a larger budget.")
        calls += 1
        return function(x)

    if isinstance(interrogator, type):
        raise UsageError(f"{interrogator.__name__} is a class", remedy="make an interrogator of it first.")
    if isinstance(interrogator, Interactive):
        return Examination(interrogator.interrogate(ask), calls)
    probes = tuple(interrogator.probes)  # read before any answer is given
    return Examination(interrogator.conclude([ask(x) for x in probes]), calls)


def examine_all(interrogator: Interactive | NonInteractive, functions: Iterable[TotalFunction]) -> Record:
    """Examine an interrogator with each function in turn."""
    calls: list[int] = []
    wrong = 0
    for function in functions:
        one = examine(interrogator, function)
        calls.append(one.calls)
        wrong += one.identity != function.identity
    return Record(max(calls), sum(calls) / len(calls), wrong)
