"""The value of interaction for a given function set: calls needed with it and without it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from rnn2vec.experiments.interrogation.decision_trees import Strategy, fastest_strategy, greedy_strategy
from rnn2vec.experiments.interrogation.fixed_probes import FixedProbes, fewest_probes
from rnn2vec.experiments.interrogation.functions import FunctionSet

LARGEST_EXACT_TREE = 300
"""Largest number of members for which the fastest strategy is searched exactly; larger sets use a greedy strategy."""


@dataclass(frozen=True)
class CallsNeeded:
    """Numbers of calls needed to identify any member of a set, in the worst case."""

    interactive: Strategy
    """Best interactive strategy found."""
    noninteractive: FixedProbes
    """Smallest fixed set of probes found."""
    inputs: tuple[Hashable, ...]
    """Informative inputs, indexed by the `probe` numbers of both."""

    @property
    def ratio(self) -> float:
        """Ratio of calls without interaction to calls with it; 1 for a set with a single member."""
        return len(self.noninteractive.probes) / self.interactive.calls if self.interactive.calls else 1.0


def calls_needed(functions: FunctionSet) -> CallsNeeded:
    """Compute the calls needed with and without interaction.

    The numbers are exact for small sets; for larger ones they are greedy, with proven lower bounds.

    Args:
        functions: any finite set; its enumeration of inputs must be finite or cut off by `max_inputs`.

    Raises:
        UsageError: if two members are the same function, or the table of answers is too large.
    """
    everything = list(functions.enumerate_inputs())
    table = functions.table(everything)
    useful = _useful_columns(table)
    table = table[:, useful]
    solve = fastest_strategy if len(functions) <= LARGEST_EXACT_TREE else greedy_strategy
    fixed = fewest_probes(table)  # refuses equal members
    return CallsNeeded(solve(table), fixed, tuple(everything[column] for column in useful))


def _useful_columns(table: np.ndarray) -> list[int]:
    """List the columns that split the members, keeping one column per distinct partition."""
    partitions: dict[tuple[int, ...], int] = {}
    for number, column in enumerate(table.T):
        labels: dict[int, int] = {}
        partition = tuple(labels.setdefault(answer, len(labels)) for answer in column.tolist())
        if len(labels) > 1:
            partitions.setdefault(partition, number)
    return list(partitions.values())


def summary(functions: FunctionSet, needed: CallsNeeded) -> dict[str, object]:
    """Return the numbers as JSON-ready values."""
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
