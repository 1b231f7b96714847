"""The set D_L of Proposition 3.3, generative functions of L(m_2 .. m_k), and its interactive interrogators.

L(m_2 .. m_k) = { a^n b^(n+m_2) c^(n+m_3) ... | n >= 1 }, with m_j in {1..M}. Its generative function maps a string to
the
letters that may follow it: two after `a^n`, one at any other place inside a word, none after a complete word or after a
string that is no prefix of a word. The interrogators determine one offset at a time; `bounds` gives their numbers of
calls.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterator
from dataclasses import dataclass

from rnn2vec._errors import UsageError
from rnn2vec.experiments.interrogation.examination import Ask
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


@dataclass(frozen=True)
class LiteralAutoregressive:
    """The paper's strategy, taken literally: start from `ab` and append the allowed letter until none is allowed.

    The strategy needs neither M nor k.
    """

    def interrogate(self, ask: Ask) -> Hashable:
        """Generate the word with n = 1 and read the offsets from its letter counts."""
        word = "ab"
        while allowed := ask(word):
            word += str(allowed)
        return tuple(word.count(letter) - 1 for letter in LETTERS[1:] if letter in word)


@dataclass(frozen=True)
class SkippingAutoregressive:
    """The paper's strategy without the questions whose answer is already known.

    The first letters of each run are forced, and so is the letter that follows the longest possible run.

    Args:
        num_offsets: M.
        num_letters: k.
    """

    num_offsets: int
    num_letters: int

    def interrogate(self, ask: Ask) -> Hashable:
        """Try the offsets of each letter in ascending order; the largest needs no question."""
        known: tuple[int, ...] = ()
        for letter in LETTERS[1 : self.num_letters]:
            offset = 1
            while offset < self.num_offsets and ask(probe((*known, offset))) == letter:
                offset += 1
            known = (*known, offset)
        return known


@dataclass(frozen=True)
class Bisection:
    """The optimal strategy: bisect the range of each offset.

    The answer to "is it m?" distinguishes smaller, equal and larger, so each question splits the range three ways.
    Only for the last letter do "equal" and "smaller" give the same answer.

    Args:
        num_offsets: M.
        num_letters: k.
    """

    num_offsets: int
    num_letters: int

    def interrogate(self, ask: Ask) -> Hashable:
        """Determine one offset after the other."""
        known: tuple[int, ...] = ()
        for place in range(1, self.num_letters):
            known = (*known, self._offset(ask, known, LETTERS[place], is_last=place == self.num_letters - 1))
        return known

    def _offset(self, ask: Ask, known: tuple[int, ...], letter: str, *, is_last: bool) -> int:
        low, high = 1, self.num_offsets
        while low < high:
            # The last letter splits into {low..middle} and the rest; for the others, the middle is a third part.
            middle = (low + high - 1) // 2 if is_last else (low + high) // 2
            answer = ask(probe((*known, middle)))
            if answer == letter:
                low = middle + 1
            elif is_last:
                high = middle
            elif answer:
                return middle
            else:
                high = middle - 1
        return low
