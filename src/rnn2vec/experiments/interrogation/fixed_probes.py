"""The smallest fixed set of probes that distinguishes all members of a function set.

This is the minimum test set problem: for every two members, some chosen probe must get different answers. It is a
covering problem with one constraint per pair, solved exactly by HiGHS (`scipy.optimize.milp`). Few pairs matter, so
constraints are added only for pairs that the current solution does not separate. The rejected alternative was a
branch-and-bound search of our own; HiGHS finds the 67 probes of M = 3, k = 5 in a second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from rnn2vec._errors import UsageError


@dataclass(frozen=True)
class FixedProbes:
    """A set of probes that identifies every member, with a lower bound for all such sets."""

    probes: tuple[int, ...]
    """Columns of the table that suffice to identify every member."""
    at_least: int
    """Proven lower bound on the size of such a set."""
    num_greedy: int
    """Size of the greedy set."""

    @property
    def is_optimal(self) -> bool:
        """True if no smaller set identifies every member."""
        return len(self.probes) == self.at_least


def fewest_probes(table: Int[np.ndarray, "D X"], *, max_nodes: int = 2000) -> FixedProbes:
    """Search for the smallest probing set.

    Args:
        table: answers of D different functions to X inputs, as numbers.
        max_nodes: maximum number of branch-and-bound nodes in each call of the solver.

    Returns:
        The optimum, or the best set found with a lower bound when the search exceeds `max_nodes`.

    Raises:
        UsageError: if two rows are equal.
    """
    greedy = greedy_probes(table)
    at_least = _by_counting(table)
    pairs = _chain(classes_of(table, greedy[:-1]))
    while len(greedy) > at_least:
        chosen, bound, is_solved = _cover(_separating(table, pairs), max_nodes)
        at_least = max(at_least, bound)
        missed = _chain(classes_of(table, chosen))
        if not len(missed) and len(chosen) <= len(greedy):
            return FixedProbes(tuple(chosen), len(chosen) if is_solved else at_least, len(greedy))
        if not len(missed) or not is_solved:
            break
        pairs = np.concatenate([pairs, missed])
    return FixedProbes(tuple(greedy), at_least, len(greedy))


def greedy_probes(table: Int[np.ndarray, "D X"]) -> list[int]:
    """Choose probes one by one, each time the one that separates most of the remaining pairs.

    Args:
        table: answers of D different functions to X inputs, as numbers.

    Raises:
        UsageError: if two rows are equal.
    """
    if len(table) == 1:
        return []
    if len({row.tobytes() for row in table}) < len(table):
        raise UsageError(
            "two functions give the same answers to all inputs",
            remedy="remove one of them, or add inputs on which they differ.",
        )
    num_answers = int(table.max()) + 1
    classes = np.zeros(len(table), dtype=np.int64)
    chosen: list[int] = []
    while (num_classes := int(classes.max()) + 1) < len(table):
        joint = classes[:, None] * num_answers + table  # class and answer in one number
        columns = np.arange(table.shape[1])
        counts = np.zeros((num_classes * num_answers, len(columns)), dtype=np.int64)
        np.add.at(counts, (joint, columns), 1)
        chosen.append(int((counts**2).sum(axis=0).argmin()))  # fewest pairs left
        classes = np.unique(joint[:, chosen[-1]], return_inverse=True)[1]
    return chosen


def classes_of(table: Int[np.ndarray, "D X"], probes: list[int]) -> Int[np.ndarray, " D"]:
    """Compute the class of each function; functions of one class answer all the probes alike."""
    return np.unique(table[:, probes], axis=0, return_inverse=True)[1].reshape(-1)


def _by_counting(table: np.ndarray) -> int:
    """Compute a lower bound on the number of probes: p probes with A answers distinguish at most A^p functions."""
    if len(table) == 1:
        return 0
    most = max(len(np.unique(column)) for column in table.T)
    return math.ceil(math.log(len(table), most) - 1e-9)


def _separating(table: np.ndarray, pairs: np.ndarray) -> Bool[np.ndarray, "Q X"]:
    return table[pairs[:, 0]] != table[pairs[:, 1]]


def _chain(classes: np.ndarray) -> Int[np.ndarray, "Q 2"]:
    """List the pairs that are not separated yet: each member of a class with the next one."""
    order = np.argsort(classes, kind="stable")
    pairs = np.stack([order[:-1], order[1:]], axis=1)
    return pairs[classes[order[:-1]] == classes[order[1:]]]


def _cover(separating: Bool[np.ndarray, "Q X"], max_nodes: int) -> tuple[list[int], int, bool]:
    """Find the fewest columns that cover every row; return them, a lower bound on their number, and if it is solved."""
    num_probes = separating.shape[1]
    result = milp(
        np.ones(num_probes),
        constraints=LinearConstraint(csr_array(np.unique(separating, axis=0).astype(float)), lb=1),
        integrality=np.ones(num_probes),
        bounds=Bounds(0, 1),
        options={"node_limit": max_nodes},
    )
    bound = result.mip_dual_bound
    at_least = 0 if bound is None or not np.isfinite(bound) else math.ceil(bound - 1e-6)
    chosen = [] if result.x is None else np.flatnonzero(result.x > 0.5).tolist()
    return chosen, at_least, result.status == 0
