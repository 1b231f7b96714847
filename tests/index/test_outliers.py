"""The promise about false alarms, kept by simulation; and what is really unusual is found."""

from __future__ import annotations

import numpy as np
import pytest

from rnn2vec._errors import UsageError
from rnn2vec.index.outliers import Familiar, judge_members


def ordinary(generator: np.random.Generator, number: int) -> np.ndarray:
    """Two groups of different width, heavy-tailed: no simple model fits them."""
    wide = generator.standard_t(3, size=(number, 4)) * np.where(generator.random(number) < 0.7, 1.0, 0.2)[:, None]
    return (wide + 5 * (generator.random(number) < 0.5)[:, None]).astype(np.float32)


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


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_false_alarms_about_members_are_as_rare_as_promised(rate: float) -> None:
    generator = np.random.default_rng(2)
    shares = []
    for trial in range(60):
        vectors = ordinary(generator, 100)
        shares.append(len(judge_members(vectors, seed=trial).alarms(rate)) / 100)
    assert np.mean(shares) <= rate
    assert np.mean(shares) >= rate - 0.021


def test_what_is_far_off_is_the_first_alarm() -> None:
    vectors = ordinary(np.random.default_rng(3), 400)
    vectors[[7, 300]] += 1000
    unusual = judge_members(vectors)
    assert set(unusual.alarms(0.01)[:2]) == {7, 300}
    assert (np.diff(unusual.distances[unusual.alarms(0.05)]) <= 0).all()


def test_more_alarms_than_the_rate_where_the_ordinary_ones_are_known() -> None:
    vectors = ordinary(np.random.default_rng(4), 400)
    vectors[300:] += 1000
    is_known = np.arange(400) < 250
    assert len(judge_members(vectors).alarms(0.02)) == 8
    alarms = set(judge_members(vectors, is_known).alarms(0.02))
    assert alarms > set(range(300, 400))
    assert len(alarms) < 120


def test_the_smallest_p_value_is_that_of_the_held_out_ones() -> None:
    familiar = Familiar(ordinary(np.random.default_rng(5), 101))
    far = familiar.judge(np.full((1, 4), 1e6, dtype=np.float32))
    assert far.p_values[0] == familiar.smallest_p == 1 / 51


def test_wrong_numbers_are_refused() -> None:
    with pytest.raises(UsageError, match=r"3 ordinary RNNs\n.*at least 4"):
        Familiar(np.zeros((3, 2), dtype=np.float32))
    with pytest.raises(UsageError, match=r"a false-alarm rate of 1\n"):
        judge_members(np.zeros((8, 2), dtype=np.float32)).alarms(1)
