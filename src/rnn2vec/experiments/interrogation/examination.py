"""Protocols of interrogators, and the examiner that counts their calls.

An interrogator is built for a function set and then examined. Interrogators see nothing but answers. An *interactive*
one receives `ask`, which hides the function and the call counter; a *non-interactive* one must name all its probes
before it receives any answer, so it cannot be interactive by accident. (The rejected alternative, interrogators that
report their own number of calls, would have to be trusted.)
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from rnn2vec.experiments.interrogation.functions import TotalFunction

Ask = Callable[[Hashable], Hashable]
"""A single interaction: an input goes in, the function's answer comes out."""


@runtime_checkable
class Interactive(Protocol):
    """An interrogator whose probes may depend on previous answers."""

    def interrogate(self, ask: Ask) -> Hashable:
        """Ask questions and return the function's identity, or None when unsure."""
        ...


@runtime_checkable
class NonInteractive(Protocol):
    """An interrogator with fixed probes."""

    @property
    def probes(self) -> Sequence[Hashable]:
        """All inputs to be asked, in order."""
        ...

    def conclude(self, answers: Sequence[Hashable]) -> Hashable:
        """Return the function's identity given the answers in the order of the probes, or None when unsure."""
        ...


@dataclass(frozen=True)
class Examination:
    """The outcome of examining an interrogator with one function."""

    identity: Hashable
    """Identity that the interrogator returned."""
    calls: int
    """Number of calls of the function."""


@dataclass(frozen=True)
class Record:
    """The outcome of examining an interrogator with several functions."""

    worst_calls: int
    """Largest number of calls for one function."""
    mean_calls: float
    """Mean number of calls."""
    num_wrong: int
    """Number of functions that were not identified correctly."""


def examine(interrogator: Interactive | NonInteractive, function: TotalFunction) -> Examination:
    """Run an interrogator on one function and count its calls.

    Args:
        interrogator: interrogator built for a set that contains the function.
        function: function to identify.
    """
    calls = 0

    def ask(x: Hashable) -> Hashable:
        nonlocal calls
        calls += 1
        return function(x)

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
