"""Performance under emulation: 1 for a perfect emulation, coupled draws, and numbers that are None where undefined."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnn2vec.emulation.emulator import Emulation
from rnn2vec.inspection.performance import PerformanceComparison, act, compare_performance

SHARES = st.lists(st.integers(0, 20).map(lambda count: count / 20), min_size=3, max_size=12)


def _comparison(rnn: list[float], emulation: list[float]) -> PerformanceComparison:
    return PerformanceComparison(np.array(rnn), np.array(emulation), num_episodes=20)


def _compare(imitated: Any, representations: torch.Tensor, **options: Any) -> PerformanceComparison:
    return compare_performance(
        imitated.rnns, imitated.emulator, representations, family=imitated.family, tasks=imitated.tasks, **options
    )


def test_a_perfect_emulation_does_what_the_rnn_does(imitated: Any) -> None:
    comparison = _compare(imitated, imitated.representations, num_episodes=50)

    assert len(set(comparison.rnn)) > 3
    assert comparison.emulation == pytest.approx(comparison.rnn, abs=1 / 50)  # rounding may flip one draw
    assert comparison.r_squared == pytest.approx(1, abs=1e-2)
    assert comparison.correlation == pytest.approx(1, abs=1e-2)


def test_an_emulation_of_the_wrong_rnns_is_worse(imitated: Any) -> None:
    right = _compare(imitated, imitated.representations, num_episodes=50)
    wrong = _compare(imitated, imitated.representations.roll(1, dims=0), num_episodes=50)

    assert wrong.rnn == pytest.approx(right.rnn)
    assert wrong.r_squared is not None
    assert right.r_squared is not None
    assert wrong.r_squared < right.r_squared - 0.1


def test_the_same_seed_gives_the_same_numbers_and_another_others(imitated: Any) -> None:
    first, again, other = (
        _compare(imitated, imitated.representations, num_episodes=20, seed=seed) for seed in (3, 3, 4)
    )
    assert first.rnn.tolist() == again.rnn.tolist()
    assert first.emulation.tolist() == again.emulation.tolist()
    assert first.rnn.tolist() != other.rnn.tolist()


def test_an_rnn_draws_the_same_in_any_company(imitated: Any) -> None:
    together = act(imitated.rnns, imitated.family, imitated.tasks, 5, numbers=range(12), seed=0).codes()
    alone = act(imitated.rnns.select([7]), imitated.family, [imitated.tasks[7]], 5, numbers=[7], seed=0).codes()
    assert torch.equal(together[7], alone[0])


def test_rnn_and_emulation_draw_alike(imitated: Any) -> None:
    emulation = Emulation(imitated.emulator, imitated.representations)
    sides = [
        act(side, imitated.family, imitated.tasks, 40, numbers=range(12), seed=0).codes()
        for side in (imitated.rnns, emulation)
    ]
    assert (sides[0] == sides[1]).all(dim=-1).float().mean() > 0.99


@given(SHARES)
def test_r_squared_of_equal_numbers_is_1(shares: list[float]) -> None:
    comparison = _comparison(shares, shares)
    expected = None if len(set(shares)) == 1 else 1.0
    assert comparison.r_squared == expected
    assert comparison.correlation == (None if expected is None else pytest.approx(1))


@given(SHARES)
def test_r_squared_of_the_mean_is_0(shares: list[float]) -> None:
    comparison = _comparison(shares, [float(np.mean(shares))] * len(shares))
    assert comparison.correlation is None
    if len(set(shares)) > 1:
        assert comparison.r_squared == pytest.approx(0)


def test_r_squared_fits_no_line() -> None:
    comparison = _comparison([0.0, 0.5, 1.0], [0.5, 0.75, 1.0])
    assert comparison.correlation == pytest.approx(1)
    assert comparison.r_squared == pytest.approx(1 - (0.25 + 0.0625) / 0.5)
