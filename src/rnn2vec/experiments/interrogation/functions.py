"""Total computable functions, finite sets of them (Section 3.1), and the example sets of Appendix B.

A function can be called and has an identity, nothing more. A set holds its members and an enumeration of inputs, which
makes Lemma B.1 constructive: two different members differ on some input that the enumeration reaches.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from rnn2vec._errors import UsageError

LARGEST_TABLE = 20_000_000
"""Maximum number of entries in a table of answers."""


@runtime_checkable
class TotalFunction(Protocol):
    """A function that is defined for every input."""

    @property
    def identity(self) -> Hashable:
        """Identity within a set: the value that an interrogator must return."""
        ...

    def __call__(self, x: Hashable, /) -> Hashable:
        """Answer an input."""
        ...


class FunctionSet:
    """A finite set of functions, no two of which are equal.

    Args:
        functions: the members, with different identities.
        inputs: an enumeration of inputs that distinguishes any two members; may be infinite (`itertools.count()`).
        max_inputs: number of inputs after which two members that agreed so far count as equal.

    Raises:
        UsageError: if there is no member, or two members have the same identity.
    """

    def __init__(
        self, functions: Sequence[TotalFunction], inputs: Iterable[Hashable], *, max_inputs: int = 10_000
    ) -> None:
        self.functions = tuple(functions)
        self.identities = tuple(function.identity for function in functions)
        if not self.functions or len(set(self.identities)) < len(self.functions):
            raise UsageError(
                f"{len(self.functions)} functions with {len(set(self.identities))} identities",
                remedy="give at least one function, each with an identity of its own.",
            )
        self._max_inputs = max_inputs
        self._enumerated: list[Hashable] = []
        self._rest = iter(inputs)

    def __len__(self) -> int:
        return len(self.functions)

    def enumerate_inputs(self) -> Iterator[Hashable]:
        """Yield the inputs in order, starting with the first; at most `max_inputs`."""
        for place in range(self._max_inputs):
            if place == len(self._enumerated):
                following = list(itertools.islice(self._rest, 1))
                if not following:
                    return
                self._enumerated += following
            yield self._enumerated[place]

    def distinguishing_input(self, group: Sequence[int]) -> Hashable:
        """Find the first input on which the given members do not all agree (Lemma B.1).

        Args:
            group: indices of at least two members.

        Raises:
            UsageError: if they agree on every input of the enumeration, that is, two members are the same function.
        """
        for x in self.enumerate_inputs():
            first = self.functions[group[0]](x)
            if any(self.functions[member](x) != first for member in group[1:]):
                return x
        names = ", ".join(str(self.identities[member]) for member in group[:3])
        raise UsageError(
            f"{names} agree on all {len(self._enumerated):,} inputs of the enumeration",
            remedy="keep only one of them, or enumerate inputs (or more of them) on which they differ.",
        )

    def table(self, inputs: Sequence[Hashable] | None = None) -> Int[np.ndarray, "D X"]:
        """Tabulate every member's answer to every input, with equal answers encoded as equal numbers.

        Args:
            inputs: the X inputs; by default the whole enumeration.

        Raises:
            UsageError: if the table would have more than 20 million entries.
        """
        columns = list(self.enumerate_inputs()) if inputs is None else list(inputs)
        if len(self) * len(columns) > LARGEST_TABLE:
            raise UsageError(
                f"a table of {len(self):,} functions x {len(columns):,} inputs",
                remedy=f"give fewer functions or inputs: the table is limited to {LARGEST_TABLE:,} answers.",
            )
        codes: dict[Hashable, int] = {}
        return np.array([[codes.setdefault(f(x), len(codes)) for x in columns] for f in self.functions], dtype=np.int32)


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
