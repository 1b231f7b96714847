"""Intervals that hold what they promise, checked by simulation, and comparisons known by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from rnn2vec._errors import UsageError
from rnn2vec._seeding import numpy_generator
from rnn2vec.experiments.statistics import (
    FEWEST,
    correlation,
    estimate,
    paired,
    student_interval,
    studentized_intervals,
)

Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


def _normal(generator: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    return 5 + 0.1 * generator.standard_normal(size)


def _exponential(generator: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    return generator.standard_exponential(size)


def _coverage(draw: Draw, mean: float, *, rounds: int, seed: int) -> float:
    """The share of 95 % intervals of 15 numbers that hold the mean; draws of the bootstrap are new in every round."""
    generator = numpy_generator(seed, "coverage")
    hits: list[np.ndarray] = []
    for _ in range(rounds):
        low, high = studentized_intervals(draw(generator, (200, 15)), generator, resamples=1000).T
        hits.append((low <= mean) & (mean <= high))
    return float(np.concatenate(hits).mean())


@pytest.mark.parametrize(
    ("draw", "mean", "least"), [(_normal, 5.0, 0.93), (_exponential, 1.0, 0.91)], ids=["normal", "exponential"]
)
def test_intervals_cover_the_truth_as_often_as_they_say(draw: Draw, mean: float, least: float) -> None:
    assert least <= _coverage(draw, mean, rounds=10, seed=0) <= 0.97


@pytest.mark.parametrize("number", [5, 7])
@pytest.mark.parametrize(
    ("draw", "mean", "least", "most"),
    [(_normal, 5.0, 0.93, 0.97), (_exponential, 1.0, 0.86, 0.92)],
    ids=["normal", "exponential"],
)
def test_students_intervals_cover_the_truth_as_often_as_they_say(
    draw: Draw, mean: float, least: float, most: float, number: int
) -> None:
    samples = draw(numpy_generator(0, "student"), (4000, number))
    intervals = np.array([student_interval(sample) for sample in samples])
    assert least <= np.mean((intervals[:, 0] <= mean) & (mean <= intervals[:, 1])) <= most
    assert estimate(list(samples[0])).interval == student_interval(samples[0])


def test_students_interval_is_the_textbooks() -> None:
    assert student_interval(np.array([1.0, 2.0, 3.0, 4.0, 5.0])) == pytest.approx((1.03676, 4.96324), abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("draw", "mean", "least"), [(_normal, 5.0, 0.93), (_exponential, 1.0, 0.91)], ids=["normal", "exponential"]
)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_intervals_cover_the_truth_in_many_more_simulations(draw: Draw, mean: float, least: float, seed: int) -> None:
    assert least <= _coverage(draw, mean, rounds=100, seed=seed) <= 0.97


def test_a_draw_by_hand_gives_the_same_interval() -> None:
    """The slow and obvious version: draw numbers, not counts, and go by the formula."""
    numbers = numpy_generator(0, "numbers").standard_normal(12)
    draws = numpy_generator(1, "draws").choice(numbers, size=(200_000, 12))
    errors = draws.std(axis=1, ddof=1) / np.sqrt(12)
    high, low = np.quantile((draws.mean(axis=1) - numbers.mean()) / errors, [0.975, 0.025])
    own = numbers.std(ddof=1) / np.sqrt(12)
    expected = (numbers.mean() - high * own, numbers.mean() - low * own)
    got = studentized_intervals(numbers[None], numpy_generator(2, "other draws"), resamples=200_000)[0]
    np.testing.assert_allclose(got, expected, rtol=0.02)


@pytest.mark.parametrize("factor", [1e-9, 1.0, 1e9])
def test_the_interval_moves_and_stretches_with_the_numbers(factor: float) -> None:
    numbers = numpy_generator(0, "numbers").standard_normal((1, 15))
    plain = studentized_intervals(numbers, numpy_generator(1, "draws"))
    moved = studentized_intervals(3 * factor + factor * numbers, numpy_generator(1, "draws"))
    np.testing.assert_allclose(moved, 3 * factor + factor * plain, rtol=1e-6)


def test_equal_numbers_have_an_interval_of_no_width() -> None:
    np.testing.assert_array_equal(studentized_intervals(np.full((1, 9), 0.3), numpy_generator(0, "x")), [[0.3, 0.3]])


def test_an_interval_without_an_end_is_not_claimed() -> None:
    """A third of all draws lack the one number that differs: for all that they say, it could be anything."""
    numbers = [0.3] * 9 + [0.9]
    low, high = studentized_intervals(np.array([numbers]), numpy_generator(0, "x"))[0]
    assert low < 0.36
    assert high == np.inf
    assert estimate(numbers).interval is None


def test_nothing_is_claimed_of_few_numbers() -> None:
    few = estimate([0.1] * (FEWEST - 2) + [0.2])
    assert few.interval is None
    assert few.mean == pytest.approx((0.1 * (FEWEST - 2) + 0.2) / (FEWEST - 1))
    assert few.points == (*[0.1] * (FEWEST - 2), 0.2)
    enough = estimate(list(np.linspace(0, 1, FEWEST)))
    assert enough.interval is not None
    assert enough.interval[0] < 0.5 < enough.interval[1]


def test_the_same_numbers_have_the_same_interval() -> None:
    numbers = list(numpy_generator(0, "numbers").standard_normal(15))
    assert estimate(numbers) == estimate(numbers)


def test_the_mean_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="mean of no numbers"):
        estimate([])


def test_pairs_are_compared_on_the_seeds_that_both_have() -> None:
    comparison = paired({0: 1.0, 1: 2.0, 2: 5.0, 9: 0.0}, {2: 3.0, 1: 3.0, 0: 1.5, 7: 0.0})
    assert comparison is not None
    assert comparison.difference.points == (-0.5, -1.0, 2.0)
    assert comparison.lower == 2
    assert paired({0: 1.0}, {1: 1.0}) is None


def test_seeds_are_paired_only_within_one_build_of_the_zoo() -> None:
    comparison = paired({("a", 0): 1.0, ("b", 1): 2.0}, {("a", 0): 3.0, ("c", 1): 9.0})
    assert comparison is not None
    assert comparison.difference.points == (-2.0,)


def test_pairing_takes_out_what_a_seed_does_to_both() -> None:
    generator = numpy_generator(0, "pairs")
    luck = generator.standard_normal(15)
    first = {seed: float(one) for seed, one in enumerate(luck)}
    second = {seed: float(one + 0.1 + 0.01 * generator.standard_normal()) for seed, one in first.items()}
    comparison = paired(first, second)
    assert comparison is not None
    assert comparison.difference.interval is not None
    assert comparison.difference.interval[1] < 0  # though each alone has an interval ten times as wide


def test_correlation_is_pearsons() -> None:
    first, second = [1.0, 2.0, 3.0, 5.0], [2.0, 1.0, 4.0, 6.0]
    found = correlation(first, second)
    assert found is not None
    assert found.r == pytest.approx(float(np.corrcoef(first, second)[0, 1]))
    assert found.interval[0] < found.r < found.interval[1]
    assert found.num_points == 4


@pytest.mark.parametrize(("first", "second"), [([1.0, 2, 3], [1.0, 2, 3]), ([1.0] * 5, [1.0, 2, 3, 4, 5])])
def test_too_little_for_a_correlation(first: list[float], second: list[float]) -> None:
    assert correlation(first, second) is None
    assert correlation(second, first) is None
