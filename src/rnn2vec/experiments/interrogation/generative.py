"""The set D_L of Proposition 3.3: generative functions of the languages L(m_2 .. m_k), m_j in {1..M}.

L(m_2 .. m_k) = { a^n b^(n+m_2) c^(n+m_3) ... | n >= 1 }. Its generative function takes a string and answers with
the letters that may come next: several after `a^n`, one anywhere else inside a word, none after a whole word or
where the string is no prefix of a word.
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
    """g of L(m_2 .. m_k).

    Args:
        identity: the offsets m_2 .. m_k.
    """

    identity: tuple[int, ...]

    def __call__(self, x: Hashable, /) -> str:
        """The letters that may follow the string `x`; "" when none may."""
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
    """D_L: all generative functions with offsets in {1..M} over k letters.

    Args:
        num_offsets: M, at least 2.
        num_letters: k, at least 2.

    Raises:
        UsageError: smaller, or more letters than the alphabet has.
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
        """Every function of the set."""
        values = range(1, self.num_offsets + 1)
        return map(GenerativeFunction, itertools.product(values, repeat=self.num_letters - 1))

    def probes(self) -> Iterator[str]:
        """The strings worth asking: |D_L| - 1 of them, and every other string tells no more than one of these.

        They are `a b^(1+r_2) c^(1+r_3) ...` with all r in {1..M} and the last of them below M: "given these
        offsets, is the next one larger than r, equal, or smaller?" `docs/theory.md` proves that nothing is lost.
        """
        for length in range(1, self.num_letters):
            for head in itertools.product(range(1, self.num_offsets + 1), repeat=length - 1):
                for last in range(1, self.num_offsets):
                    yield probe((*head, last))

    def function_set(self) -> FunctionSet:
        """The set with the strings worth asking as its enumeration of inputs."""
        return FunctionSet(list(self.members()), self.probes(), max_inputs=len(self))


def probe(offsets: tuple[int, ...]) -> str:
    """The string a b^(1+r_2) c^(1+r_3) ... for offsets r_2, r_3, ...; any offset may be -1 (no such letter)."""
    return "a" + "".join(letter * (1 + r) for letter, r in zip(LETTERS[1:], offsets, strict=False))
