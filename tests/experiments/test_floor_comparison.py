"""The comparison with the floor: ratio, lowest floor, and coverage of an interval that resamples languages."""

from __future__ import annotations

import numpy as np
import pytest

from rnn2vec._errors import UsageError
from rnn2vec.experiments.floor_comparison import FloorComparison, compare_with_floor


def _draw(
    generator: np.random.Generator, num_languages: int, per_language: int
) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Draw distances of an encoder and a floor of 1; RNNs of one language differ little, languages much."""
    effects = generator.normal(scale=0.2, size=num_languages)
    encoder = 0.5 + np.repeat(effects, per_language) + generator.normal(scale=0.01, size=num_languages * per_language)
    return encoder, np.ones_like(encoder), np.repeat(np.arange(num_languages), per_language).tolist()


def test_the_ratio_is_that_of_the_means() -> None:
    encoder, floor = np.array([0.1, 0.3, 0.2]), np.array([0.5, 0.5, 0.8])
    comparison = compare_with_floor(encoder, {"closed-form": floor}, ["x", "y", "y"])

    assert comparison.encoder == pytest.approx(0.2)
    assert comparison.floor == pytest.approx(0.6)
    assert comparison.ratio == pytest.approx(1 / 3)
    assert (comparison.num_rnns, comparison.num_groups, comparison.floor_name) == (3, 2, "closed-form")


def test_the_lowest_floor_counts() -> None:
    encoder = np.full(4, 0.1)
    floors = {"high": np.full(4, 0.5), "low": np.full(4, 0.2), "middle": np.full(4, 0.3)}
    comparison = compare_with_floor(encoder, floors, [(0.0, 1.0), (0.0, 1.0), (2.0, 1.0), (3.0, 1.0)])

    assert (comparison.floor_name, comparison.floor) == ("low", pytest.approx(0.2))
    assert comparison.interval == pytest.approx((0.5, 0.5))


def test_each_resample_has_its_own_lowest_floor() -> None:
    """Use two floors that are low on one half of the languages each; a fixed floor would lower the ratio."""
    encoder, half = np.full(20, 0.4), np.repeat([0.0, 1.0], 10)
    floors = {"first": 0.5 + half, "second": 1.5 - half}
    both = compare_with_floor(encoder, floors, range(20))
    one = compare_with_floor(encoder, {"first": floors["first"]}, range(20))

    assert both.interval is not None
    assert one.interval is not None
    assert both.ratio == one.ratio
    assert both.interval[0] == pytest.approx(0.4, abs=0.02)
    assert one.interval[0] < 0.35


def test_the_interval_covers() -> None:
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        encoder, floor, groups = _draw(generator, 30, 5)
        interval = compare_with_floor(encoder, {"floor": floor}, groups).interval
        assert interval is not None
        covered += interval[0] <= 0.5 <= interval[1]
    assert 0.88 <= covered / 200 <= 0.99


def test_more_rnns_of_the_same_languages_do_not_narrow_the_interval() -> None:
    widths: list[float] = []
    for per_language in (1, 50):
        encoder, floor, groups = _draw(np.random.default_rng(0), 30, per_language)
        interval = compare_with_floor(encoder, {"floor": floor}, groups).interval
        assert interval is not None
        widths.append(interval[1] - interval[0])
    assert widths[1] == pytest.approx(widths[0], rel=0.1)


def test_the_same_seed_gives_the_same_interval() -> None:
    encoder, floor, groups = _draw(np.random.default_rng(0), 10, 2)
    first, again, other = (compare_with_floor(encoder, {"floor": floor}, groups, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.interval != other.interval


def test_order_does_not_matter() -> None:
    encoder, floor, groups = _draw(np.random.default_rng(0), 10, 3)
    backwards = compare_with_floor(encoder[::-1].copy(), {"floor": floor}, groups[::-1])
    assert backwards.ratio == pytest.approx(compare_with_floor(encoder, {"floor": floor}, groups).ratio)


def test_one_language_has_no_interval() -> None:
    comparison = compare_with_floor(np.array([0.1, 0.2]), {"floor": np.array([0.5, 0.5])}, ["x", "x"])
    assert comparison.interval is None
    assert comparison.is_below_floor


@pytest.mark.parametrize(
    ("ratio", "interval", "below"),
    [
        (0.8, (0.7, 0.89), True),
        (0.8, (0.7, 0.91), False),
        (0.9, None, True),
        (0.91, None, False),
        (1.2, (1.1, 1.3), False),
    ],
)
def test_below_means_ten_percent_with_the_whole_interval(
    ratio: float, interval: tuple[float, float] | None, below: bool
) -> None:
    comparison = FloorComparison(ratio, 1.0, "floor", ratio, interval, num_rnns=4, num_groups=2)
    assert comparison.is_below_floor is below


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    ("floors", "groups"),
    [({}, ["x", "y"]), ({"floor": np.ones(3)}, ["x", "y"]), ({"floor": np.ones(2)}, ["x"])],
)
def test_lengths_that_differ_are_refused(floors: dict[str, np.ndarray], groups: list[str]) -> None:
    with pytest.raises(UsageError, match="2 distances of the encoder"):
        compare_with_floor(np.ones(2), floors, groups)


def test_no_rnn_is_refused() -> None:
    with pytest.raises(UsageError, match="0 distances"):
        compare_with_floor(np.ones(0), {"floor": np.ones(0)}, [])
