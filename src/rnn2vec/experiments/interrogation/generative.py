"""The set D_L of Proposition 3.3: generative functions of the languages L(m_2 .. m_k), m_j in {1..M}.

L(m_2 .. m_k) = { a^n b^(n+m_2) c^(n+m_3) ... | n >= 1 }. Its generative function maps a string to the letters that may
follow it: two after `a^n`, one at any other place inside a word, none after a complete word or after a string that is
no prefix of a word.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterator
from dataclasses import dataclass

from rnn2vec._errors import UsageError
from rnn2vec.experiments.interrogation.functions import FunctionSet

LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class GenerativeFunction:
    """The generative function of L(m_2 .. m_k).

    Args:
        identity: the offsets m_2 .. m_k.
    """

    identity: tuple[int, ...]

    def __call__(self, x: Hashable, /) -> str:
        """Return the letters that may follow the string `x`; "" if none may."""
        assert isinstance(x, str)
        n = len(x) - len(x.lstrip("a"))
        rest = x[n:]
        if not rest:
            return "ab" if n else "a"
        if not n:
            return ""
        for letter, offset in zip(LETTERS[1:], self.identity, strict=False):
            here = len(rest) - len(rest.lstrip(letter))
            rest = rest[here:]
            if here < n + offset:
                return "" if rest else letter
            if here > n + offset:
                return ""
            if not rest:
                following = ord(letter) - ord("a") + 1
                return LETTERS[following] if following <= len(self.identity) else ""
        return ""


@dataclass(frozen=True)
class GenerativeFunctions:
    """The set D_L: all generative functions with offsets in {1..M} over k letters.

    Args:
        num_offsets: M, at least 2.
        num_letters: k, from 2 to 26.

    Raises:
        UsageError: if a number is out of range.
    """

    num_offsets: int
    num_letters: int

    def __post_init__(self) -> None:
        if self.num_offsets < 2 or not 2 <= self.num_letters <= len(LETTERS):
            raise UsageError(
                f"M={self.num_offsets} offsets, k={self.num_letters} letters",
                remedy=f"give M >= 2 and 2 <= k <= {len(LETTERS)}.",
            )

    def __len__(self) -> int:
        return self.num_offsets ** (self.num_letters - 1)

    def members(self) -> Iterator[GenerativeFunction]:
        """Iterate over all functions of the set."""
        values = range(1, self.num_offsets + 1)
        return map(GenerativeFunction, itertools.product(values, repeat=self.num_letters - 1))

    def probes(self) -> Iterator[str]:
        """Iterate over the |D_L| - 1 informative strings; any other string is no more informative than one of these.

        They are `a b^(1+r_2) c^(1+r_3) ...` with all r in {1..M} and the last one below M. Such a string asks: "given
        these offsets, is the next one larger than r, equal, or smaller?" `docs/theory.md` has the proof.
        """
        for length in range(1, self.num_letters):
            for head in itertools.product(range(1, self.num_offsets + 1), repeat=length - 1):
                for last in range(1, self.num_offsets):
                    yield probe((*head, last))

    def function_set(self) -> FunctionSet:
        """Build the function set whose enumeration of inputs is `probes`."""
        return FunctionSet(list(self.members()), self.probes(), max_inputs=len(self))


def probe(offsets: tuple[int, ...]) -> str:
    """Build the string a b^(1+r_2) c^(1+r_3) ... for offsets r_2, r_3, ...; an offset of -1 omits its letter."""
    return "a" + "".join(letter * (1 + r) for letter, r in zip(LETTERS[1:], offsets, strict=False))
