"""Propositions 3.1 and 3.2, and the optimal solvers against exhaustive search."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnn2vec._errors import UsageError
from rnn2vec.experiments.interrogation.bounds import optimal_interactive
from rnn2vec.experiments.interrogation.comparison import calls_needed, summary
from rnn2vec.experiments.interrogation.decision_trees import (
    Question,
    fastest_strategy,
    fewest_interactive,
    fewest_noninteractive,
    greedy_strategy,
)
from rnn2vec.experiments.interrogation.examination import examine_all
from rnn2vec.experiments.interrogation.fixed_probes import fewest_probes, greedy_probes
from rnn2vec.experiments.interrogation.functions import FunctionSet, easy_set, hard_set, table_set
from rnn2vec.experiments.interrogation.generative import GenerativeFunctions
from rnn2vec.experiments.interrogation.splitting import SplittingInterrogator, SplittingProbes


def as_set(rows: list[tuple[int, ...]]) -> FunctionSet:
    names = [f"f{number}" for number in range(len(rows))]
    inputs = [f"x{number}" for number in range(len(rows[0]))]
    return table_set(names, inputs, [[str(answer) for answer in row] for row in rows])


def tables(most: int, widest: int) -> st.SearchStrategy[list[tuple[int, ...]]]:
    """Different functions as rows of answers."""
    rows = st.integers(1, widest).flatmap(lambda width: st.lists(st.tuples(*[st.integers(0, 2)] * width), min_size=1))
    return rows.map(lambda drawn: list(dict.fromkeys(drawn))[:most])


@given(tables(most=15, widest=8))
def test_any_set_is_identified_in_one_call_less_than_it_has_members(rows: list[tuple[int, ...]]) -> None:
    functions = as_set(rows)
    for interrogator in (SplittingInterrogator(functions), SplittingProbes(functions)):
        record = examine_all(interrogator, functions.functions)
        assert record.num_wrong == 0
        assert record.worst_calls <= len(functions) - 1


def test_the_easy_set_takes_one_call() -> None:
    functions = easy_set(20)  # its inputs are endless
    for interrogator in (SplittingInterrogator(functions), SplittingProbes(functions)):
        record = examine_all(interrogator, functions.functions)
        assert (record.num_wrong, record.worst_calls) == (0, 1)


@pytest.mark.parametrize("size", [2, 3, 4, 5, 6])
def test_no_strategy_does_better_on_the_hard_set(size: int) -> None:
    table = hard_set(size).table()
    assert fewest_interactive(table) == size - 1
    assert fewest_noninteractive(table) == size - 1


@pytest.mark.parametrize("size", [10, 14, 20])
def test_the_solvers_agree_on_larger_hard_sets(size: int) -> None:
    needed = calls_needed(hard_set(size))
    assert needed.interactive.is_optimal
    assert needed.noninteractive.is_optimal
    assert needed.interactive.calls == len(needed.noninteractive.probes) == size - 1
    assert needed.ratio == 1.0


@settings(max_examples=60)
@given(tables(most=7, widest=6))
def test_the_solvers_find_what_exhaustive_search_finds(rows: list[tuple[int, ...]]) -> None:
    table = np.array(rows)
    fast, fixed = fastest_strategy(table), fewest_probes(table)
    assert fast.calls == fast.at_least == fewest_interactive(table)
    assert len(fixed.probes) == fixed.at_least == fewest_noninteractive(table)
    assert len(np.unique(table[:, fixed.probes], axis=0)) == len(table)


@given(tables(most=20, widest=9))
def test_greedy_is_from_above_and_bounds_are_from_below(rows: list[tuple[int, ...]]) -> None:
    table = np.array(rows)
    exact_tree, exact_set = fastest_strategy(table), fewest_probes(table)
    greedy_tree = greedy_strategy(table)
    assert greedy_tree.at_least <= exact_tree.calls <= greedy_tree.calls
    assert len(exact_set.probes) <= len(greedy_probes(table)) == exact_set.num_greedy


@given(tables(most=12, widest=7))
def test_the_best_tree_identifies_every_member_in_the_calls_that_are_claimed(rows: list[tuple[int, ...]]) -> None:
    table = np.array(rows)
    strategy = fastest_strategy(table)
    calls = []
    for row in range(len(table)):
        node, depth = strategy.tree, 0
        while isinstance(node, Question):
            node, depth = node.branches[table[row, node.probe]], depth + 1
        assert node == row
        calls.append(depth)
    assert max(calls) == strategy.calls
    functions = as_set(rows)
    needed = calls_needed(functions)
    assert needed.interactive.calls == strategy.calls
    assert needed.ratio >= 1.0
    assert len(summary(functions, needed)["probes"]) == len(needed.noninteractive.probes)  # pyright: ignore[reportArgumentType]


def test_a_search_that_is_cut_off_still_says_what_it_knows() -> None:
    table = GenerativeFunctions(4, 4).function_set().table()
    strategy = fastest_strategy(table, max_nodes=3)
    assert strategy.at_least < optimal_interactive(4, 4) <= strategy.calls
    assert not strategy.is_optimal


def test_equal_functions_are_refused() -> None:
    with pytest.raises(UsageError, match="two functions give the same answers"):
        calls_needed(as_set([(1, 2), (1, 2)]))
    with pytest.raises(UsageError, match="f0, f1 agree on all 2 inputs"):
        SplittingInterrogator(as_set([(1, 2), (1, 2)]))
