"""Total computable functions, and finite sets of them (Section 3.1).

A function can be called and has an identity; that is all. A set knows its members and a way to enumerate inputs,
which is what makes Lemma B.1 constructive: two members that differ somewhere differ on an input that the
enumeration reaches.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from rnn2vec._errors import UsageError

LARGEST_TABLE = 20_000_000


@runtime_checkable
class TotalFunction(Protocol):
    """A function that answers every input."""

    @property
    def identity(self) -> Hashable:
        """What tells it from the other members of a set: what an interrogator has to name."""
        ...

    def __call__(self, x: Hashable, /) -> Hashable:
        """The answer to an input."""
        ...


@dataclass(frozen=True)
class NamedFunction:
    """A Python function with a name."""

    identity: Hashable
    rule: Callable[[Hashable], Hashable]

    def __call__(self, x: Hashable, /) -> Hashable:
        """The rule's answer."""
        return self.rule(x)


class FunctionSet:
    """A finite set of functions, no two of which are equal.

    Args:
        functions: the members, with different identities.
        inputs: an enumeration of inputs that tells any two members apart; may be endless (`itertools.count()`).
        max_inputs: how far an endless enumeration is followed before two members count as equal.

    Raises:
        UsageError: no member, or two with the same identity.
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
        self._seen: list[Hashable] = []
        self._rest = iter(inputs)

    def __len__(self) -> int:
        return len(self.functions)

    def enumerate_inputs(self) -> Iterator[Hashable]:
        """The inputs in their order, from the first, at most `max_inputs`."""
        for place in range(self._max_inputs):
            if place == len(self._seen):
                following = list(itertools.islice(self._rest, 1))
                if not following:
                    return
                self._seen += following
            yield self._seen[place]

    def distinguishing_input(self, group: Sequence[int]) -> Hashable:
        """The first input on which not all of these members agree (Lemma B.1).

        Args:
            group: places of at least two members.

        Raises:
            UsageError: they agree on every input of the enumeration: two members are the same function.
        """
        for x in self.enumerate_inputs():
            first = self.functions[group[0]](x)
            if any(self.functions[member](x) != first for member in group[1:]):
                return x
        names = ", ".join(str(self.identities[member]) for member in group[:3])
        raise UsageError(
            f"{names} agree on all {len(self._seen):,} inputs of the enumeration",
            remedy="leave all but one of them out, or enumerate inputs (or more of them) that tell them apart.",
        )

    def table(self, inputs: Sequence[Hashable] | None = None) -> Int[np.ndarray, "D X"]:
        """Every member's answer to every input, each answer as a number; equal answers have equal numbers.

        Args:
            inputs: the columns; by default the whole enumeration.

        Raises:
            UsageError: the table would have more than 20 million entries.
        """
        columns = list(self.enumerate_inputs()) if inputs is None else list(inputs)
        if len(self) * len(columns) > LARGEST_TABLE:
            raise UsageError(
                f"a table of {len(self):,} functions x {len(columns):,} inputs",
                remedy=f"give fewer: at most {LARGEST_TABLE:,} answers are written out.",
            )
        codes: dict[Hashable, int] = {}
        return np.array([[codes.setdefault(f(x), len(codes)) for x in columns] for f in self.functions], dtype=np.int32)
