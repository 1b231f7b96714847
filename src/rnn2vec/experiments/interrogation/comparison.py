"""What interaction is worth for a given function set: calls needed with it and without it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from rnn2vec.experiments.interrogation.decision_trees import (
    Strategy,
    TreeInterrogator,
    fastest_strategy,
    greedy_strategy,
)
from rnn2vec.experiments.interrogation.fixed_probes import FixedProbes, fewest_probes
from rnn2vec.experiments.interrogation.functions import FunctionSet

LARGEST_EXACT_TREE = 300
"""Members of the largest set for which the fastest strategy is searched for; beyond, greedy."""


@dataclass(frozen=True)
class CallsNeeded:
    """Calls needed to identify any member of a set, in the worst case."""

    interactive: Strategy
    """With interaction."""
    noninteractive: FixedProbes
    """Without."""
    inputs: tuple[Hashable, ...]
    """The inputs that are worth asking: what `probe` numbers refer to."""

    @property
    def ratio(self) -> float:
        """How many times more calls it takes without interaction; 1 for a set of one."""
        return len(self.noninteractive.probes) / self.interactive.calls if self.interactive.calls else 1.0

    @property
    def is_exact(self) -> bool:
        """Whether both numbers are the true optima."""
        return self.interactive.is_optimal and self.noninteractive.is_optimal


def calls_needed(functions: FunctionSet) -> CallsNeeded:
    """Calls needed with and without interaction: exact for small sets, greedy with proven lower bounds beyond.

    Args:
        functions: any finite set; its enumeration of inputs must be finite or cut off by `max_inputs`.

    Raises:
        UsageError: two members are the same function, or the table of answers gets too large.
    """
    everything = list(functions.enumerate_inputs())
    table = functions.table(everything)
    useful = _useful_columns(table)
    table = table[:, useful]
    solve = fastest_strategy if len(functions) <= LARGEST_EXACT_TREE else greedy_strategy
    fixed = fewest_probes(table)  # refuses equal members
    return CallsNeeded(solve(table), fixed, tuple(everything[column] for column in useful))


def best_interrogator(functions: FunctionSet, needed: CallsNeeded) -> TreeInterrogator:
    """The interactive interrogator that takes `needed.interactive.calls` calls at most."""
    codes: dict[Hashable, int] = {}
    for function in functions.functions:  # numbered in the order in which `FunctionSet.table` meets them
        for x in functions.enumerate_inputs():
            codes.setdefault(function(x), len(codes))
    return TreeInterrogator(needed.interactive.tree, needed.inputs, functions.identities, codes)


def _useful_columns(table: np.ndarray) -> list[int]:
    """Columns that split the members, each way to split them only once."""
    ways: dict[tuple[int, ...], int] = {}
    for number, column in enumerate(table.T):
        seen: dict[int, int] = {}
        way = tuple(seen.setdefault(answer, len(seen)) for answer in column.tolist())
        if len(seen) > 1:
            ways.setdefault(way, number)
    return list(ways.values())


def summary(functions: FunctionSet, needed: CallsNeeded) -> dict[str, object]:
    """The numbers as JSON-ready values."""
    probes: Sequence[Hashable] = [needed.inputs[probe] for probe in needed.noninteractive.probes]
    return {
        "functions": len(functions),
        "interactive": needed.interactive.calls,
        "interactive_at_least": needed.interactive.at_least,
        "noninteractive": len(probes),
        "noninteractive_at_least": needed.noninteractive.at_least,
        "ratio": round(needed.ratio, 3),
        "probes": [str(probe) for probe in probes],
    }
