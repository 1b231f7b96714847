"""The best interactive strategy: a decision tree of minimum depth whose branches are answers.

The search is exact: iterative deepening over sets of remaining members (bit masks in one integer), with refuted depths
memoized. If it exceeds its node limit, the tree built by greedy information gain gives the upper bound, and the largest
refuted depth gives the lower bound. Exhaustive search over all strategies (`fewest_interactive`,
`fewest_noninteractive`) is
the slow, obvious reference for this folder's algorithms.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int


@dataclass(frozen=True)
class Question:
    """An inner node of a decision tree."""

    probe: int
    """Column of the table whose input is asked."""
    branches: dict[int, Question | int]
    """Next question, or the only remaining row, by the number of the answer."""


@dataclass(frozen=True)
class Strategy:
    """An interactive strategy that identifies every member, with a lower bound for all strategies."""

    tree: Question | int
    """First question, or the only row of a table with one row."""
    calls: int
    """Number of questions in the worst case."""
    at_least: int
    """Proven lower bound on the number of questions of any strategy."""

    @property
    def is_optimal(self) -> bool:
        """True if no strategy is faster in the worst case."""
        return self.calls == self.at_least


def fastest_strategy(table: Int[np.ndarray, "D X"], *, max_nodes: int = 20_000) -> Strategy:
    """Search for the strategy with the fewest questions in the worst case.

    Args:
        table: answers of D different functions to X inputs, as numbers.
        max_nodes: maximum number of sets of remaining members to expand.

    Returns:
        The optimum, or the greedy strategy with a lower bound when the search exceeds `max_nodes`.
    """
    search = _Search(table, max_nodes)
    all_rows = (1 << len(table)) - 1
    greedy = search.greedy(all_rows)
    upper, depth = _depth(greedy), search.at_least(len(table))
    while depth < upper:
        tree = search.within(all_rows, depth)
        if search.is_exhausted:
            return Strategy(greedy, upper, depth)
        if tree is not None:
            return Strategy(tree, depth, depth)
        depth += 1
    return Strategy(greedy, upper, upper)


def greedy_strategy(table: Int[np.ndarray, "D X"]) -> Strategy:
    """Build the strategy that always asks the question of largest entropy over the remaining members.

    Args:
        table: answers of D different functions to X inputs, as numbers.
    """
    search = _Search(table, 0)
    tree = search.greedy((1 << len(table)) - 1)
    return Strategy(tree, _depth(tree), search.at_least(len(table)))


def _depth(node: Question | int) -> int:
    return 1 + max(map(_depth, node.branches.values())) if isinstance(node, Question) else 0


class _Search:
    """State of one search; a set of remaining rows is an integer whose bit r stands for row r."""

    def __init__(self, table: np.ndarray, max_nodes: int) -> None:
        self._masks = [_masks(column) for column in table.T]
        self._most = max((len(masks) for masks in self._masks), default=1)
        largest = [max(mask.bit_count() for mask in masks.values()) for masks in self._masks]
        self._most_left_out = len(table) - min(largest, default=0)
        self._refuted: dict[int, int] = {}  # set of rows -> largest depth known to be too small
        self._nodes_left = max_nodes

    @property
    def is_exhausted(self) -> bool:
        return self._nodes_left < 0

    def at_least(self, number: int) -> int:
        """Compute a lower bound on the questions needed for any set of `number` rows.

        With at most A answers per question, q questions distinguish at most A^q rows. Moreover, in the worst case a
        question rules out no more rows than those that do not give its most common answer.
        """
        by_answers = math.ceil(math.log(number, max(self._most, 2)) - 1e-9)
        return max(by_answers, -(-(number - 1) // max(self._most_left_out, 1)))

    def splits(self, rows: int) -> list[tuple[int, dict[int, int]]]:
        """List all distinct partitions of a set of rows, ordered by the size of their largest part."""
        ways: dict[frozenset[int], tuple[int, dict[int, int]]] = {}
        for probe, masks in enumerate(self._masks):
            parts = {answer: part for answer, mask in masks.items() if (part := rows & mask)}
            if len(parts) > 1:
                ways.setdefault(frozenset(parts.values()), (probe, parts))
        return sorted(ways.values(), key=lambda way: max(part.bit_count() for part in way[1].values()))

    def greedy(self, rows: int) -> Question | int:
        if rows.bit_count() == 1:
            return rows.bit_length() - 1
        probe, parts = min(self.splits(rows), key=lambda way: _remaining(way[1]))
        return Question(probe, {answer: self.greedy(part) for answer, part in parts.items()})

    def within(self, rows: int, depth: int) -> Question | int | None:
        """Find a tree of at most this depth; None if none exists or the search is exhausted."""
        number = rows.bit_count()
        if number == 1:
            return rows.bit_length() - 1
        if self.at_least(number) > depth or self._refuted.get(rows, -1) >= depth:
            return None
        self._nodes_left -= 1
        for probe, parts in self.splits(rows):
            if self.is_exhausted:
                return None
            branches = self._branches(parts, depth - 1)
            if branches is not None:
                return Question(probe, branches)
        if not self.is_exhausted:
            self._refuted[rows] = depth
        return None

    def _branches(self, parts: dict[int, int], depth: int) -> dict[int, Question | int] | None:
        branches: dict[int, Question | int] = {}
        for answer, part in sorted(parts.items(), key=lambda one: -one[1].bit_count()):  # hardest first
            tree = self.within(part, depth)
            if tree is None:
                return None
            branches[answer] = tree
        return branches


def _masks(column: np.ndarray) -> dict[int, int]:
    masks: dict[int, int] = {}
    for row, answer in enumerate(column.tolist()):
        masks[answer] = masks.get(answer, 0) | 1 << row
    return masks


def _remaining(parts: dict[int, int]) -> float:
    """Compute the expected information still missing after the answer, in bits, times the number of rows."""
    return sum(part.bit_count() * math.log2(part.bit_count()) for part in parts.values())


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
