"""The numbers of calls that Proposition 3.3 states, the true ones, and the fixed probes that attain them.

Proofs are in `docs/theory.md`.

For D_L with offsets in {1..M} over k letters, in the worst case over its M^(k-1) members:

|                                          | stated         | true                                     |
|------------------------------------------|----------------|------------------------------------------|
| the literal autoregressive strategy      | M (k-1)        | (M+1) (k-1)                              |
| the same without forced answers          | -              | (M-1) (k-1)                              |
| the best interactive strategy            | -              | (k-2) floor(log2 M) + ceil(log2 M)       |
| the best non-interactive one, at least   | M^(k-1) - M^2  | (M-1) M^(k-2)                            |
| the best non-interactive one, exactly    | -              | (M-1) M^(k-2) + floor(M^(k-2) / 2)       |

The last line equals |D| - ceil(|D| / 2M). The bound in the paper is false for M >= 3 and k >= 5, and for M = 2 and
k >= 6. It is true for smaller k, though not for the reason given there.

`OptimalProbes` attains the last number, since every probe that asks about the last offset is needed: the functions that
answer "" to all of these have m_k = 1, one for each (m_2 .. m_{k-1}). Each further probe can separate at most two of
them from the rest, since it gets one of three answers. Probing every second value of an offset attains this limit.

In all functions below, M is the number of possible offsets and k the number of letters.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Sequence

from rnn2vec.experiments.interrogation.generative import LETTERS, GenerativeFunction, probe


def printed_interactive(M: int, k: int) -> int:
    """Return the number of calls that the paper states for the autoregressive strategy."""
    return M * (k - 1)


def literal_autoregressive(M: int, k: int) -> int:
    """Return the number of calls that the autoregressive strategy makes when it is taken literally."""
    return (M + 1) * (k - 1)


def skipping_autoregressive(M: int, k: int) -> int:
    """Return the number of calls of the autoregressive strategy without questions whose answer is known."""
    return (M - 1) * (k - 1)


def optimal_interactive(M: int, k: int) -> int:
    """Return the fewest calls of any interactive strategy: a ternary search per offset, a binary one for the last."""
    floor_log = M.bit_length() - 1
    ceil_log = (M - 1).bit_length()
    return (k - 2) * floor_log + ceil_log


def printed_noninteractive(M: int, k: int) -> int:
    """Return the paper's lower bound for fixed probes; false where it exceeds `optimal_noninteractive`."""
    return M ** (k - 1) - M**2


def forced_probes(M: int, k: int) -> int:
    """Return the number of probes that every fixed set must contain: the corrected lower bound."""
    return (M - 1) * M ** (k - 2)


def optimal_noninteractive(M: int, k: int) -> int:
    """Return the size of the smallest fixed set of probes that identifies every member."""
    return forced_probes(M, k) + M ** (k - 2) // 2


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
        """List probes for every second value of an offset: 1, 3, ... for even M and 2, 4, ... for odd M.

        For even M, probing m_{k-1} separates all functions. For odd M, the functions with m_{k-1} = 1 remain, and the
        same construction is applied to them one letter earlier.
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
        """List the probes with an answer other than "", with their answers, which together distinguish functions.

        Only prefixes of the function's own words have such an answer, so only these are looked up. This makes it
        possible to check sets of 70,000 probes on 80,000 functions.
        """
        word = "a" + "".join(letter * (1 + m) for letter, m in zip(LETTERS[1:], function.identity, strict=False))
        prefixes = (word[:end] for end in range(2, len(word) + 1))
        asked = ((self._numbers[prefix], function(prefix)) for prefix in prefixes if prefix in self._numbers)
        return tuple(sorted((number, answer) for number, answer in asked if answer))

    @property
    def identifies_all(self) -> bool:
        """True if any two members answer some probe differently."""
        return len(self._members) == self._num_offsets ** (self._num_letters - 1)

    def conclude(self, answers: Sequence[Hashable]) -> Hashable:
        """Look up the member with these answers; None if no member gives them."""
        return self._members.get(tuple((n, str(answer)) for n, answer in enumerate(answers) if answer))
