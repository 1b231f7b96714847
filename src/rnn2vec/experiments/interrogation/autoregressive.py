"""Interactive interrogators for the generative functions of Proposition 3.3.

All three determine one offset at a time; `bounds` gives their numbers of calls.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from rnn2vec.experiments.interrogation.examination import Ask
from rnn2vec.experiments.interrogation.generative import LETTERS, probe


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
