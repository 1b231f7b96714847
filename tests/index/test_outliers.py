"""Outliers: flags follow the ranking, the promise about false alarms holds, and what is really unusual is found.

The full simulation is `python -m benchmarks.outliers`; its table stands in docs/results/outliers.md.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnn2vec._errors import UsageError
from rnn2vec.index.outliers import Familiar, judge_members, rnns_needed


def ordinary(generator: np.random.Generator, number: int) -> np.ndarray:
    """Return vectors of two groups of different width, heavy-tailed: no simple model fits them."""
    wide = generator.standard_t(3, size=(number, 4)) * np.where(generator.random(number) < 0.7, 1.0, 0.2)[:, None]
    return (wide + 5 * (generator.random(number) < 0.5)[:, None]).astype(np.float32)


def slow_score(vectors: np.ndarray, others: np.ndarray, neighbours: int) -> np.ndarray:
    """Return the distance of each vector to its k-th nearest among others; a vector is not its own neighbour."""
    distances = np.linalg.norm(vectors[:, None].astype(np.float64) - others[None], axis=2)
    if len(vectors) == len(others):
        np.fill_diagonal(distances, np.inf)
    return np.sort(distances, axis=1)[:, neighbours - 1]


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_false_alarms_about_new_rnns_are_as_rare_as_promised(rate: float) -> None:
    generator = np.random.default_rng(1)
    shares = []
    for trial in range(150):
        familiar = Familiar(ordinary(generator, 120), seed=trial)
        shares.append((familiar.judge(ordinary(generator, 40)).p_values <= rate).mean())
    mean, error = np.mean(shares), np.std(shares) / np.sqrt(len(shares))
    assert mean <= rate + 3 * error
    assert mean >= rate - 0.02 - 3 * error  # it does not keep the promise by never saying anything


@given(seed=st.integers(0, 10_000), number=st.integers(4, 80), rate=st.sampled_from([0.01, 0.05, 0.1, 0.3]))
@settings(max_examples=60, deadline=None)
def test_flags_are_the_top_of_the_ranking_and_never_more_than_promised(seed: int, number: int, rate: float) -> None:
    generator = np.random.default_rng(seed)
    vectors = ordinary(generator, number)
    is_known = np.arange(number) < max(4, number // 2)
    for outliers in (judge_members(vectors), judge_members(vectors, is_known)):
        flagged = outliers.flagged(rate)
        assert flagged.tolist() == outliers.ranking[: len(flagged)].tolist()
        assert (np.diff(outliers.p_values[outliers.ranking]) >= 0).all()
    assert len(judge_members(vectors).flagged(rate)) <= rate * number


def test_scores_are_those_of_a_slow_search() -> None:
    vectors = ordinary(np.random.default_rng(6), 70)
    np.testing.assert_allclose(judge_members(vectors).distances, slow_score(vectors, vectors, 10), rtol=1e-6)
    new = ordinary(np.random.default_rng(7), 5)
    np.testing.assert_allclose(Familiar(vectors).judge(new).distances, slow_score(new, vectors, 10), rtol=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_two_of_63_that_are_a_hundred_times_farther_are_both_found(seed: int) -> None:
    generator = np.random.default_rng(seed)
    vectors = (0.01 * generator.normal(size=(63, 16))).astype(np.float32)
    odd = generator.choice(63, size=2, replace=False)
    vectors[odd] += generator.normal(size=(2, 16))
    outliers = judge_members(vectors, seed=seed)
    assert set(outliers.flagged(0.05)[:2]) == set(odd)
    assert len(outliers.flagged(0.05)) == 3


def test_what_is_far_off_is_the_first_alarm() -> None:
    vectors = ordinary(np.random.default_rng(3), 400)
    vectors[[7, 300]] += 1000
    outliers = judge_members(vectors)
    assert set(outliers.flagged(0.01)[:2]) == {7, 300}
    assert outliers.distances[7] > 100 * outliers.typical


def test_more_alarms_than_the_rate_where_the_ordinary_ones_are_known() -> None:
    vectors = ordinary(np.random.default_rng(4), 400)
    vectors[300:] += 1000
    is_known = np.arange(400) < 250
    assert len(judge_members(vectors).flagged(0.02)) == 8
    flagged = set(judge_members(vectors, is_known).flagged(0.02))
    assert flagged > set(range(300, 400))
    assert len(flagged) < 120


@pytest.mark.parametrize("number", [4, 5, 12])
def test_a_small_collection_ranks_its_outlier_first(number: int) -> None:
    vectors = np.random.default_rng(number).normal(size=(number, 3)).astype(np.float32)
    vectors[2] += 50
    assert judge_members(vectors).ranking[0] == 2


def test_too_few_rnns_for_a_rate_flag_nothing_and_say_how_many_it_takes() -> None:
    vectors = ordinary(np.random.default_rng(5), 60)
    vectors[17] += 1000
    outliers = judge_members(vectors)
    assert len(outliers.flagged(0.01)) == 0
    assert outliers.ranking[0] == 17
    text = outliers.describe(0.01)
    assert text.startswith("Nothing is flagged: at a rate of 0.01 it takes at least 100 RNNs")
    assert "there are 60." in text
    assert outliers.describe(0.1) == "6 of 60 RNNs are flagged. Were all ordinary, at most 6 would be."
    assert [rnns_needed(rate) for rate in (0.01, 0.05, 0.1, 0.3, 1 / 49)] == [100, 20, 10, 4, 49]


def test_the_smallest_p_value_is_that_of_the_number_of_ordinary_rnns() -> None:
    familiar = Familiar(ordinary(np.random.default_rng(5), 101))
    far = familiar.judge(np.full((1, 4), 1e6, dtype=np.float32))
    assert far.p_values[0] == far.smallest_p == 1 / 102


def test_copies_are_not_unusual() -> None:
    outliers = judge_members(np.ones((40, 3), dtype=np.float32))
    assert (outliers.p_values == 1).all()
    assert len(outliers.flagged(0.5)) == 0


def test_wrong_numbers_are_refused() -> None:
    with pytest.raises(UsageError, match=r"3 ordinary RNNs\n.*at least 4"):
        Familiar(np.zeros((3, 2), dtype=np.float32))
    with pytest.raises(UsageError, match=r"a false-alarm rate of 1\n"):
        judge_members(np.zeros((8, 2), dtype=np.float32)).flagged(1)
