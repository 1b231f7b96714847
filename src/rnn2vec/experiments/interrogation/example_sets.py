"""The function sets of Section 3.1 and Appendix B, apart from the generative functions."""

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
        """Always `identity`."""
        return self.identity


@dataclass(frozen=True)
class Hole:
    """The function xi_i of Proposition 3.2: 0 for n = i, and n for all else."""

    identity: int

    def __call__(self, x: Hashable, /) -> Hashable:
        """`x`, unless it is the hole."""
        return 0 if x == self.identity else x


def easy_set(size: int) -> FunctionSet:
    """{ n -> i | 1 <= i <= size }: any one input tells which."""
    return FunctionSet([Constant(i) for i in range(1, size + 1)], itertools.count())


def hard_set(size: int) -> FunctionSet:
    """{ xi_i | 1 <= i <= size }: each input singles out one member at most (Proposition 3.2).

    All inputs beyond `size` are answered alike by every member, so the enumeration ends there.
    """
    return FunctionSet([Hole(i) for i in range(1, size + 1)], range(size + 1))


@dataclass(frozen=True)
class Row:
    """A function written out."""

    identity: str
    answers: dict[Hashable, str]

    def __call__(self, x: Hashable, /) -> str:
        """The answer in the table."""
        return self.answers[x]


def table_set(names: list[str], inputs: list[str], answers: list[list[str]]) -> FunctionSet:
    """Functions written out as a table: `answers[i][j]` is what function i answers to input j."""
    rows = [Row(name, dict(zip(inputs, row, strict=True))) for name, row in zip(names, answers, strict=True)]
    return FunctionSet(rows, inputs)
