"""Measurements of the propositions of Section 3.1: everything that `rnn2vec interrogate` shows without a zoo.

Where feasible, numbers are measured by examining interrogators on every member of a set or by exhaustive search. They
are shown beside the paper's statements and the results proven in `docs/theory.md`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rnn2vec._progress import Progress, silent
from rnn2vec._seeding import numpy_generator
from rnn2vec.experiments.interrogation import bounds
from rnn2vec.experiments.interrogation.bounds import OptimalProbes
from rnn2vec.experiments.interrogation.comparison import LARGEST_EXACT_TREE
from rnn2vec.experiments.interrogation.decision_trees import fastest_strategy, fewest_interactive, fewest_noninteractive
from rnn2vec.experiments.interrogation.examination import examine_all
from rnn2vec.experiments.interrogation.fixed_probes import fewest_probes
from rnn2vec.experiments.interrogation.functions import FunctionSet, easy_set, hard_set, table_set
from rnn2vec.experiments.interrogation.generative import (
    Bisection,
    GenerativeFunctions,
    LiteralAutoregressive,
    SkippingAutoregressive,
)
from rnn2vec.experiments.interrogation.splitting import SplittingInterrogator, SplittingProbes

OFFSETS = (2, 3, 4, 5)
"""Default values of M."""
LETTERS = (3, 4, 5, 6, 7, 8)
"""Default values of k."""
LARGEST_SOLVED = 700
"""Largest number of members for which the smallest probing set is searched."""
RANDOM_SETS = 20
"""Number of random sets of each size, for Proposition 3.1."""


@dataclass(frozen=True)
class SplittingRow:
    """Proposition 3.1 on sets of one size."""

    what: str
    """Name of the sets."""
    size: int
    """Number of members, |D|."""
    interactive: int
    """Largest number of calls along a path of the splitting tree."""
    noninteractive: int
    """Largest number of different inputs at the inner nodes of the tree."""


@dataclass(frozen=True)
class HardRow:
    """Proposition 3.2 for one size, by trying every strategy."""

    size: int
    """Number of members, |D|."""
    interactive: int
    """Calls of the best interactive strategy in the worst case."""
    noninteractive: int
    """Size of the smallest fixed set of probes."""


@dataclass(frozen=True)
class GapRow:
    """Proposition 3.3 for M offsets and k letters; searches that would be too large give None."""

    M: int
    """Number of possible offsets."""
    k: int
    """Number of letters."""
    size: int
    """Number of members, M^(k-1)."""
    literal: int
    """Largest number of calls of the literal autoregressive strategy, over all members."""
    skipping: int
    """Largest number of calls of the same strategy without forced answers."""
    bisection: int
    """Largest number of calls of the optimal strategy, over all members."""
    solved_interactive: int | None
    """Depth of the shallowest decision tree, by search."""
    greedy_probes: int | None
    """Size of the greedy fixed set."""
    solved_probes: int | None
    """Size of the smallest fixed set, by HiGHS."""
    constructed_probes: int
    """Size of the constructed set, which was checked to identify every member."""
    printed_interactive: int
    """Number of calls that the paper states for the autoregressive strategy."""
    printed_noninteractive: int
    """Lower bound that the paper states for fixed sets."""
    at_least: int
    """Corrected lower bound for fixed sets, M^(k-2) (M-1)."""

    @property
    def printed_bound_holds(self) -> bool:
        """True if no fixed set is smaller than the paper's lower bound."""
        return self.constructed_probes >= self.printed_noninteractive

    @property
    def ratio(self) -> float:
        """Ratio of calls without interaction to calls with it."""
        return self.constructed_probes / self.bisection


@dataclass(frozen=True)
class TheoryResults:
    """Measurements of the three propositions."""

    splitting: tuple[SplittingRow, ...]
    """Proposition 3.1."""
    hard: tuple[HardRow, ...]
    """Proposition 3.2."""
    gap: tuple[GapRow, ...]
    """Proposition 3.3."""


def run_theory(
    *,
    offsets: tuple[int, ...] = OFFSETS,
    letters: tuple[int, ...] = LETTERS,
    seed: int = 0,
    progress: Progress = silent,
) -> TheoryResults:
    """Measure the three propositions.

    Args:
        offsets: values of M.
        letters: values of k.
        seed: seed of the random sets of Proposition 3.1.
        progress: callback that receives the number of pairs (M, k) done.
    """
    progress(0, 1, "Propositions 3.1 and 3.2")
    splitting = (_splitting("{n -> i}", [easy_set(10)]), _splitting("{xi_i}", [hard_set(10)]))
    splitting += tuple(_splitting("random", list(random_sets(size, RANDOM_SETS, seed))) for size in (5, 10, 20))
    hard = tuple(measure_hard_set(size) for size in range(2, 7))
    sizes = [(M, k) for M in offsets for k in letters]
    rows: list[GapRow] = []
    for done, (M, k) in enumerate(sizes):
        progress(done, len(sizes), f"Proposition 3.3, M={M}, k={k}")
        rows.append(measure_gap(M, k))
    progress(len(sizes), len(sizes), "done")
    return TheoryResults(splitting, hard, tuple(rows))


def random_sets(size: int, number: int, seed: int) -> Iterator[FunctionSet]:
    """Generate sets of different functions with random answers 0..2, mostly 0, to inputs 0..2|D| - 1.

    Args:
        size: number of members of each set, |D|.
        number: number of sets.
        seed: seed of the random answers.
    """
    generator = numpy_generator(seed, "interrogation", "random sets", size)
    found = 0
    while found < number:
        table = generator.choice(3, p=[0.8, 0.1, 0.1], size=(size, 2 * size))
        if len(np.unique(table, axis=0)) == size:
            found += 1
            inputs = [str(x) for x in range(2 * size)]
            yield table_set([f"f{i}" for i in range(size)], inputs, table.astype(str).tolist())


def _splitting(what: str, sets: list[FunctionSet]) -> SplittingRow:
    with_ = [examine_all(SplittingInterrogator(one), one.functions) for one in sets]
    without = [examine_all(SplittingProbes(one), one.functions) for one in sets]
    assert not any(record.num_wrong for record in [*with_, *without])
    return SplittingRow(
        what, len(sets[0]), max(one.worst_calls for one in with_), max(one.worst_calls for one in without)
    )


def measure_hard_set(size: int) -> HardRow:
    """Measure Proposition 3.2: the optimum over all strategies for {xi_i}."""
    table = hard_set(size).table()
    return HardRow(size, fewest_interactive(table), fewest_noninteractive(table))


def measure_gap(M: int, k: int) -> GapRow:
    """Measure Proposition 3.3 for M offsets and k letters."""
    family = GenerativeFunctions(M, k)
    strategies = LiteralAutoregressive(), SkippingAutoregressive(M, k), Bisection(M, k)
    records = [examine_all(strategy, family.members()) for strategy in strategies]
    constructed = OptimalProbes(M, k)
    assert constructed.identifies_all
    assert not any(record.num_wrong for record in records)
    depth, greedy, probes = _solve(family) if len(family) <= LARGEST_SOLVED else (None, None, None)
    return GapRow(
        M=M,
        k=k,
        size=len(family),
        literal=records[0].worst_calls,
        skipping=records[1].worst_calls,
        bisection=records[2].worst_calls,
        solved_interactive=depth,
        greedy_probes=greedy,
        solved_probes=probes,
        constructed_probes=len(constructed.probes),
        printed_interactive=bounds.printed_interactive(M, k),
        printed_noninteractive=bounds.printed_noninteractive(M, k),
        at_least=bounds.forced_probes(M, k),
    )


def _solve(family: GenerativeFunctions) -> tuple[int | None, int, int | None]:
    """Search for the depth of the shallowest tree and the sizes of the greedy and the smallest probing set."""
    table = family.function_set().table()
    strategy = fastest_strategy(table) if len(family) <= LARGEST_EXACT_TREE else None
    fixed = fewest_probes(table)
    depth = strategy.calls if strategy is not None and strategy.is_optimal else None
    return depth, fixed.num_greedy, len(fixed.probes) if fixed.is_optimal else None
