"""Imitation on unseen tasks: R^2 with an interval over tasks, and what a run's numbers say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rnn2vec._errors import UsageError
from rnn2vec.emulation.checkpoints import load_model
from rnn2vec.emulation.data import SplitData
from rnn2vec.experiments.imitation import Imitation, imitate, mean_difference, r_squared_interval
from rnn2vec.inspection.performance import PerformanceComparison, compare_performance
from rnn2vec.zoo.store import Zoo


def _comparison(rnn: np.ndarray, emulation: np.ndarray) -> PerformanceComparison:
    return PerformanceComparison(rnn, emulation, 10)


# -- of a run --------------------------------------------------------------------------------------


@pytest.fixture
def imitation(tiny_zoo: Zoo, tiny_run: Path) -> Imitation:
    """Imitate the RNNs of unseen tasks."""
    return imitate(SplitData(tiny_zoo, "validation"), load_model(tiny_run), num_episodes=5)


def test_it_is_the_comparison_of_all_rnns_at_once(tiny_zoo: Zoo, tiny_run: Path, imitation: Imitation) -> None:
    data, model = SplitData(tiny_zoo, "validation"), load_model(tiny_run)
    vectors = model.encoder(data.rnns).detach()
    expected = compare_performance(
        data.rnns, model.emulator, vectors, family=data.family, tasks=data.tasks, num_episodes=5
    )
    assert imitation.performance.rnn.tolist() == expected.rnn.tolist()
    assert imitation.performance.emulation.tolist() == expected.emulation.tolist()
    assert imitation.encoder == "interactive-probing"
    assert list(imitation.tasks) == data.tasks


def test_numbers_are_ready_for_json(imitation: Imitation) -> None:
    numbers = json.loads(json.dumps(imitation.to_dict(), allow_nan=False))
    assert numbers["num_rnns"] == len(numbers["points"]["rnn"]) == len(imitation.steps)
    assert numbers["num_tasks"] == len(set(imitation.tasks))
    assert numbers["num_episodes"] == 5


def test_progress_is_told_of_every_rnn(tiny_zoo: Zoo, tiny_run: Path) -> None:
    told: list[tuple[float, float]] = []
    data = SplitData(tiny_zoo, "validation")
    imitate(data, load_model(tiny_run), num_episodes=1, progress=lambda done, total, _: told.append((done, total)))
    assert told[-1] == (len(data), len(data))


def test_the_last_snapshots_are_those_with_the_most_updates() -> None:
    comparison = _comparison(np.array([0.0, 0.5, 1.0]), np.array([0.2, 0.5, 0.7]))
    one = Imitation("x", comparison, np.array([0, 100, 100]), ((1.0,), (1.0,), (2.0,)), None)
    assert one.last.rnn.tolist() == [0.5, 1.0]
    assert mean_difference(one.performance) == pytest.approx(0.5 / 3)
    assert one.to_dict()["last_mean_difference"] == pytest.approx(0.15)


def test_no_episode_is_refused(tiny_zoo: Zoo, tiny_run: Path) -> None:
    with pytest.raises(UsageError, match=r"num_episodes=0\n.*at least 1"):
        imitate(SplitData(tiny_zoo, "validation"), load_model(tiny_run), num_episodes=0)


# -- the interval ----------------------------------------------------------------------------------


def _sampled(num_groups: int, noise: float, seed: int) -> tuple[PerformanceComparison, list[int]]:
    generator = np.random.default_rng(seed)
    rnn = generator.uniform(0, 1, 5 * num_groups)
    error = noise * np.repeat(generator.normal(0, 1, num_groups), 5)  # RNNs of a task err alike
    return _comparison(rnn, rnn + error), np.repeat(np.arange(num_groups), 5).tolist()


def test_the_interval_is_around_r_squared_and_narrows_with_tasks() -> None:
    widths: list[float] = []
    for num_groups in (10, 640):
        comparison, groups = _sampled(num_groups, 0.15, seed=1)
        interval = r_squared_interval(comparison, groups)
        assert interval is not None
        assert comparison.r_squared is not None
        assert interval[0] < comparison.r_squared < interval[1]
        widths.append(interval[1] - interval[0])
    assert widths[1] < widths[0] / 2


def test_resampling_tasks_is_what_a_slow_bootstrap_does() -> None:
    """Slow and obvious: draw tasks, take their RNNs, and ask the comparison for R^2."""
    comparison, groups = _sampled(12, 0.1, seed=2)
    generator = np.random.default_rng(0)
    found: list[float] = []
    for _ in range(1000):
        rows = np.concatenate([np.flatnonzero(np.array(groups) == one) for one in generator.integers(12, size=12)])
        r_squared = _comparison(comparison.rnn[rows], comparison.emulation[rows]).r_squared
        assert r_squared is not None
        found.append(r_squared)
    assert r_squared_interval(comparison, groups) == pytest.approx(tuple(np.quantile(found, [0.025, 0.975])), abs=0.02)


def test_there_is_no_interval_of_one_task_or_of_rnns_that_are_alike() -> None:
    comparison, _ = _sampled(4, 0.1, seed=0)
    assert r_squared_interval(comparison, [0] * 20) is None
    assert r_squared_interval(_comparison(np.ones(4), np.zeros(4)), [0, 1, 2, 3]) is None
