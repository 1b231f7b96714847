"""The measurement of the propositions as a whole."""

from __future__ import annotations

import pytest

from rnn2vec.experiments.interrogation import bounds
from rnn2vec.experiments.interrogation.theory import measure_gap, random_sets, run_theory


def test_small_sizes_from_end_to_end() -> None:
    told: list[str] = []
    results = run_theory(offsets=(2, 3), letters=(3, 4, 5), progress=lambda _done, _total, what: told.append(what))
    assert all(row.interactive <= row.size - 1 and row.noninteractive <= row.size - 1 for row in results.splitting)
    assert results.splitting[0].interactive == results.splitting[0].noninteractive == 1
    assert all(row.interactive == row.noninteractive == row.size - 1 for row in results.hard)
    assert [(row.M, row.k) for row in results.gap] == [(2, 3), (2, 4), (2, 5), (3, 3), (3, 4), (3, 5)]
    assert [row.printed_bound_holds for row in results.gap] == [True] * 5 + [False]
    assert told[-1] == "done"


def test_what_is_too_large_to_search_for_is_constructed() -> None:
    row = measure_gap(4, 6)
    assert (row.solved_interactive, row.greedy_probes, row.solved_probes) == (None, None, None)
    assert row.constructed_probes == bounds.optimal_noninteractive(4, 6) == 896
    assert row.ratio == pytest.approx(896 / 10)


def test_random_sets_are_the_same_each_time_and_have_no_equal_members() -> None:
    first, second = ([one.table().tolist() for one in random_sets(6, 3, seed=1)] for _ in range(2))
    assert first == second
    assert all(len({tuple(row) for row in table}) == 6 for table in first)
    assert first != [one.table().tolist() for one in random_sets(6, 3, seed=2)]
