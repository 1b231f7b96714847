"""Exhaustive search over all strategies: the slow, obvious reference for the other algorithms in this folder.

An interactive strategy is a tree: an input and, for each answer that some remaining member gives, a strategy for the
members that give it. A non-interactive strategy is a set of inputs. Both searches try every strategy without pruning,
so the number of calls that they return is the optimum.
"""

from __future__ import annotations

import itertools

import numpy as np
from jaxtyping import Int


def fewest_interactive(table: Int[np.ndarray, "D X"]) -> int:
    """Compute the calls that the best interactive strategy needs in the worst case, by trying every strategy.

    Only repeated questions are skipped, since their answers are known. The cost is X! in the worst case: feasible for
    D and X up to about 7.

    Args:
        table: answers of D different functions to X inputs.
    """
    return _fewest(table, tuple(range(len(table))), tuple(range(table.shape[1])))


def _fewest(table: np.ndarray, members: tuple[int, ...], unasked: tuple[int, ...]) -> int:
    if len(members) == 1:
        return 0
    best = len(table) * table.shape[1]
    for x in unasked:
        rest = tuple(other for other in unasked if other != x)
        groups = [tuple(m for m in members if table[m, x] == answer) for answer in {table[m, x] for m in members}]
        if len(groups) > 1 or rest:
            best = min(best, 1 + max(_fewest(table, group, rest) for group in groups))
    return best


def fewest_noninteractive(table: Int[np.ndarray, "D X"]) -> int:
    """Compute the size of the smallest set of inputs that distinguishes all functions, by trying every set.

    The cost is 2^X: feasible for X up to about 16.

    Args:
        table: answers of D different functions to X inputs.
    """
    for size in range(table.shape[1] + 1):
        for probes in itertools.combinations(range(table.shape[1]), size):
            if len({tuple(row) for row in table[:, probes].tolist()}) == len(table):
                return size
    raise AssertionError("two functions are equal")
