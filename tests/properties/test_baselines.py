"""Baselines: the constant says what is most common, and learners learn what is in the features."""

from __future__ import annotations

import numpy as np
import pytest

from rnn2vec.properties.baselines import learned, on_statistics
from rnn2vec.properties.data import PropertyData
from rnn2vec.properties.scores import Score, score
from rnn2vec.tasks.base import Property

CHOICE = Property("task", ("x", "y"), "binary-cross-entropy", (-1.0, 0.0, 1.0))
STEP = Property("step", ("x",), "cross-entropy", (-1.0, 0.0, 1.0))
NUMBER = Property("number", ("z",), "mean-squared-error")
PARTS = {"train": 200, "validation": 50, "ood": 50}


def _made(prop: Property, seed: int = 0, only: float | None = None) -> tuple[PropertyData, dict[str, np.ndarray]]:
    """Properties that follow from two of five features."""
    generator = np.random.default_rng(seed)
    features = {part: generator.uniform(-1.5, 1.5, (size, 5)) for part, size in PARTS.items()}
    targets = {}
    for part, one in features.items():
        columns = {"x": one[:, 0].round(), "y": one[:, 1].round(), "z": 7 + 2 * one[:, 0] - one[:, 1]}
        if only is not None:
            columns["y"] = np.full(len(one), only)
        targets[part] = prop.target(
            {name: np.clip(values, -1, 1) if name != "z" else values for name, values in columns.items()}
        )
    rows = {part: np.arange(len(one)) for part, one in features.items()}
    is_last = {part: np.ones(len(one), dtype=bool) for part, one in features.items()}
    return PropertyData(prop, rows, targets, is_last), features


def _scored(prop: Property, **options: float) -> dict[str, Score]:
    data, features = _made(prop, **options)  # pyright: ignore[reportArgumentType]
    answers = {
        **on_statistics(data, features, seed=0),
        "linear on representation": learned(data, features, "linear", 0),
    }
    return {name: score(prop, one["ood"], data.targets["ood"]) for name, one in answers.items()}


NAMES = ["constant", "linear on statistics", "trees on statistics", "linear on representation"]


@pytest.mark.parametrize("prop", [CHOICE, STEP])
def test_choices(prop: Property) -> None:
    scores = _scored(prop)
    assert list(scores) == NAMES
    for name in NAMES[1:]:
        assert scores[name].accuracy > 0.8  # pyright: ignore[reportOptionalOperand]
        assert scores[name].loss < scores["constant"].loss


def test_numbers() -> None:
    scores = _scored(NUMBER)
    assert scores["constant"].r_squared == pytest.approx(0, abs=0.1)
    assert scores["linear on statistics"].r_squared == pytest.approx(1, abs=1e-3)
    assert scores["trees on statistics"].r_squared > 0.9  # pyright: ignore[reportOptionalOperand]


def test_the_constant_is_how_often_each_choice_is_right() -> None:
    data, features = _made(CHOICE)
    answers = on_statistics(data, features, seed=0)["constant"]["ood"]
    assert len(answers) == 50
    assert 1 / (1 + np.exp(-answers[0])) == pytest.approx(data.targets["train"].mean(axis=0), abs=1e-6)
    assert len(np.unique(answers, axis=0)) == 1


def test_a_column_with_one_choice_is_no_problem() -> None:
    """Learners refuse a single class: there is nothing to learn."""
    for result in _scored(CHOICE, only=1.0).values():
        assert result.column_accuracy is not None
        assert result.column_accuracy["y"] == 1
        assert np.isfinite(result.loss)


def test_a_choice_that_training_never_saw_has_a_finite_loss() -> None:
    data, features = _made(STEP)
    seen = data.targets["train"][:, 2] == 0
    data.targets["train"] = data.targets["train"][seen]
    features["train"] = features["train"][seen]
    for outputs in on_statistics(data, features, seed=0).values():
        assert np.isfinite(score(STEP, outputs["ood"], data.targets["ood"]).loss)
