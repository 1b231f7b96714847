"""The smallest fixed probing set for the generative functions of Proposition 3.3, at any size.

`bounds.optimal_noninteractive` says how many probes it has; `docs/theory.md` proves that fewer never do. In words:
every probe that asks about the last offset is needed. The functions that answer nothing to any of them are those
with m_k = 1, one for each (m_2 .. m_{k-1}), and each further probe can separate two of these from the rest, since
it gets one of three answers. Every second value of an offset, asked for, does that without waste.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Sequence

from rnn2vec.experiments.interrogation.generative import LETTERS, GenerativeFunction, probe


class OptimalProbes:
    """The optimal non-interactive interrogator for D_L.

    Args:
        num_offsets: M.
        num_letters: k.
    """

    def __init__(self, num_offsets: int, num_letters: int) -> None:
        self._num_offsets = num_offsets
        self._num_letters = num_letters
        self.probes: Sequence[str] = tuple(map(probe, [*self._about_the_last(), *self._about_the_others()]))
        self._numbers = {asked: number for number, asked in enumerate(self.probes)}
        values = range(1, num_offsets + 1)
        self._members: dict[tuple[tuple[int, str], ...], tuple[int, ...]] = {}
        for offsets in itertools.product(values, repeat=num_letters - 1):
            self._members[self.signature(GenerativeFunction(offsets))] = offsets

    def _about_the_last(self) -> list[tuple[int, ...]]:
        heads = itertools.product(range(1, self._num_offsets + 1), repeat=self._num_letters - 2)
        return [(*head, last) for head in heads for last in range(1, self._num_offsets)]

    def _about_the_others(self) -> list[tuple[int, ...]]:
        """Every second value: from 1 where M is even (then nobody is left over), from 2 where it is odd.

        With M even, asking about m_{k-1} alone is enough. With M odd the functions with m_{k-1} = 1 are left over,
        and among these the same goes on one letter earlier.
        """
        M, k = self._num_offsets, self._num_letters
        lengths = range(k - 3, k - 2) if M % 2 == 0 else range(k - 2)
        return [
            (*head, middle)
            for length in lengths
            if length >= 0
            for head in itertools.product(range(1, M + 1), repeat=length)
            for middle in range(1 + M % 2, M, 2)
        ]

    def signature(self, function: GenerativeFunction) -> tuple[tuple[int, str], ...]:
        """The probes that get an answer other than "", with the answers: all that tells functions apart.

        Only prefixes of the function's own words get one, so these alone are looked up; that makes it possible
        to check sets of 70,000 probes on 80,000 functions.
        """
        word = "a" + "".join(letter * (1 + m) for letter, m in zip(LETTERS[1:], function.identity, strict=False))
        prefixes = (word[:end] for end in range(2, len(word) + 1))
        asked = ((self._numbers[prefix], function(prefix)) for prefix in prefixes if prefix in self._numbers)
        return tuple(sorted((number, answer) for number, answer in asked if answer))

    @property
    def identifies_all(self) -> bool:
        """Whether every two members answer some probe differently."""
        return len(self._members) == self._num_offsets ** (self._num_letters - 1)

    def conclude(self, answers: Sequence[Hashable]) -> Hashable:
        """Look the answers up."""
        return self._members.get(tuple((n, str(answer)) for n, answer in enumerate(answers) if answer))
