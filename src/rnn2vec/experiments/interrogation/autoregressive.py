"""Interactive interrogators for the generative functions of Proposition 3.3.

All three find out one offset after the other; `bounds` has their numbers of calls.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from rnn2vec.experiments.interrogation.examination import Ask
from rnn2vec.experiments.interrogation.generative import LETTERS, probe


@dataclass(frozen=True)
class LiteralAutoregressive:
    """The paper's strategy to the letter: begin with `ab`, append what is allowed, until nothing is.

    It needs to know neither M nor k.
    """

    def interrogate(self, ask: Ask) -> Hashable:
        """Generate the word with n = 1 and read the offsets off it."""
        word = "ab"
        while allowed := ask(word):
            word += str(allowed)
        return tuple(word.count(letter) - 1 for letter in LETTERS[1:] if letter in word)


@dataclass(frozen=True)
class SkippingAutoregressive:
    """The same without questions whose answer is known: the first b's are forced, and so is what follows M of them.

    Args:
        num_offsets: M.
        num_letters: k.
    """

    num_offsets: int
    num_letters: int

    def interrogate(self, ask: Ask) -> Hashable:
        """Count each letter up from the smallest offset, and stop before the largest."""
        known: tuple[int, ...] = ()
        for letter in LETTERS[1 : self.num_letters]:
            offset = 1
            while offset < self.num_offsets and ask(probe((*known, offset))) == letter:
                offset += 1
            known = (*known, offset)
        return known


@dataclass(frozen=True)
class Bisection:
    """The optimal strategy: search each offset by halving what is left.

    An answer to "this many?" says fewer, exactly, or more, so that one question splits three ways; only for
    the last letter do "exactly" and "fewer" look alike.

    Args:
        num_offsets: M.
        num_letters: k.
    """

    num_offsets: int
    num_letters: int

    def interrogate(self, ask: Ask) -> Hashable:
        """Find one offset after the other."""
        known: tuple[int, ...] = ()
        for place in range(1, self.num_letters):
            known = (*known, self._offset(ask, known, LETTERS[place], is_last=place == self.num_letters - 1))
        return known

    def _offset(self, ask: Ask, known: tuple[int, ...], letter: str, *, is_last: bool) -> int:
        low, high = 1, self.num_offsets
        while low < high:
            # Two parts for the last letter, {low..middle} and the rest; else the middle is a part of its own.
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
