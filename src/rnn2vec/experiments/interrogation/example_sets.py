"""The function sets of Section 3.1 and Appendix B, except for the generative functions."""

from __future__ import annotations

import itertools
from collections.abc import Hashable
from dataclasses import dataclass

from rnn2vec.experiments.interrogation.functions import FunctionSet


@dataclass(frozen=True)
class Constant:
    """The function n -> i."""

    identity: int

    def __call__(self, x: Hashable, /) -> int:  # noqa: ARG002
        """Return `identity`."""
        return self.identity


@dataclass(frozen=True)
class Hole:
    """The function xi_i of Proposition 3.2: 0 for n = i, and n otherwise."""

    identity: int

    def __call__(self, x: Hashable, /) -> Hashable:
        """Return 0 for the hole, `x` otherwise."""
        return 0 if x == self.identity else x


def easy_set(size: int) -> FunctionSet:
    """Build { n -> i | 1 <= i <= size }; any single input identifies the member."""
    return FunctionSet([Constant(i) for i in range(1, size + 1)], itertools.count())


def hard_set(size: int) -> FunctionSet:
    """Build { xi_i | 1 <= i <= size }, where each input singles out at most one member (Proposition 3.2).

    All members give the same answers to inputs beyond `size`, so the enumeration ends there.
    """
    return FunctionSet([Hole(i) for i in range(1, size + 1)], range(size + 1))


@dataclass(frozen=True)
class Row:
    """A function given by its table of answers."""

    identity: str
    answers: dict[Hashable, str]

    def __call__(self, x: Hashable, /) -> str:
        """Look up the answer."""
        return self.answers[x]


def table_set(names: list[str], inputs: list[str], answers: list[list[str]]) -> FunctionSet:
    """Build a set from a table: `answers[i][j]` is the answer of function i to input j."""
    rows = [Row(name, dict(zip(inputs, row, strict=True))) for name, row in zip(names, answers, strict=True)]
    return FunctionSet(rows, inputs)
