"""Scores of predictions: by hand, against torch and scikit-learn, and on the circle."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import r2_score

from rnn2vec.properties.scores import calibration_error, loss_function, score
from rnn2vec.tasks.base import Property

TASK = Property("task", ("b", "c"), "binary-cross-entropy", (-1.0, 0.0, 1.0))
STEP = Property("step", ("step",), "cross-entropy", (0.0, 100.0, 200.0))
NUMBER = Property("performance", ("performance",), "mean-squared-error")
ANGLE = Property("rotation", ("rotation",), "mean-squared-error", period=360.0)


def _targets(prop: Property, **columns: list[float]) -> np.ndarray:
    return prop.target({name: np.array(values) for name, values in columns.items()})


# -- choices ---------------------------------------------------------------------------------------


def test_the_task_is_right_only_when_every_offset_is() -> None:
    targets = _targets(TASK, b=[-1, 0, 1, 1], c=[0, 0, 0, 1])
    outputs = 4 * _targets(TASK, b=[-1, 0, 0, 1], c=[0, 1, 0, 1]) - 2
    result = score(TASK, outputs, targets)
    assert result.num_rnns == 4
    assert result.accuracy == 0.5
    assert result.column_accuracy == {"b": 0.75, "c": 0.75}
    right, wrong = math.log1p(math.exp(-2)), math.log1p(math.exp(2))
    assert result.loss == pytest.approx((20 * right + 4 * wrong) / 24, abs=1e-6)
    sure = 1 / (1 + math.exp(-2))
    assert result.calibration_error == pytest.approx(sure - 0.75, abs=1e-6)
    assert result.r_squared is result.angular_error is None


def test_one_choice_by_hand() -> None:
    outputs = np.log(np.array([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2]]))
    result = score(STEP, outputs, _targets(STEP, step=[0, 200]))
    assert result.loss == pytest.approx(-(math.log(0.7) + math.log(0.2)) / 2, abs=1e-6)
    assert result.accuracy == 0.5
    assert result.column_accuracy == {"step": 0.5}
    assert result.calibration_error == pytest.approx((0.3 + 0.5) / 2, abs=1e-6)  # two bins with one answer each


def test_losses_are_torchs() -> None:
    generator = torch.Generator().manual_seed(1)
    outputs = torch.randn(5, 6, generator=generator, dtype=torch.float64)
    hot = torch.from_numpy(_targets(TASK, b=[0, 1, 1, -1, 0], c=[1, 0, 0, -1, 1])).double()
    expected = torch.nn.BCEWithLogitsLoss()(outputs, hot)
    assert loss_function(TASK)(outputs, hot).item() == pytest.approx(expected.item())

    two = Property("two", ("b", "c"), "cross-entropy", (-1.0, 0.0, 1.0))
    by_column = [torch.nn.CrossEntropyLoss()(outputs[:, at], hot[:, at]) for at in (slice(3), slice(3, 6))]
    assert loss_function(two)(outputs, hot).item() == pytest.approx(torch.stack(by_column).mean().item())


def test_an_impossible_logit_keeps_the_loss_a_number() -> None:
    result = score(TASK, np.array([[900.0, -900.0, 0.0, 900.0, 0.0, -900.0]]), _targets(TASK, b=[0], c=[-1]))
    assert math.isfinite(result.loss)
    assert result.loss > 100


# -- calibration -----------------------------------------------------------------------------------


def test_calibration_by_hand() -> None:
    confidence = np.array([0.95, 0.97, 0.5, 0.51])
    right = np.array([True, False, True, True])
    assert calibration_error(confidence, right) == pytest.approx(0.5 * 0.46 + 0.5 * 0.495)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40))
def test_calibration_errors_are_between_0_and_1(answers: list[tuple[float, bool]]) -> None:
    confidence, right = (np.array(side) for side in zip(*answers, strict=True))
    assert 0 <= calibration_error(confidence, right) <= 1
    assert calibration_error(right.astype(float), right) == 0
    assert calibration_error(1.0 - right, right) == 1


# -- numbers ---------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=20))
def test_r_squared_is_scikit_learns(pairs: list[tuple[float, float]]) -> None:
    outputs, targets = (np.array(side)[:, None] for side in zip(*pairs, strict=True))
    result = score(NUMBER, outputs, targets)
    assert result.loss == pytest.approx(np.mean((outputs - targets) ** 2))
    assert result.root_mean_squared_error == pytest.approx(math.sqrt(result.loss))
    if np.ptp(targets) > 1e-3:
        assert result.r_squared == pytest.approx(r2_score(targets, outputs))


def test_r_squared_has_no_meaning_where_all_are_equal() -> None:
    assert score(NUMBER, np.array([[0.1], [0.2]]), np.array([[0.5], [0.5]])).r_squared is None


@pytest.mark.parametrize(
    ("answered", "right", "error"), [(350, 10, 20), (10, 350, 20), (180, 0, 180), (0, 360, 0), (-5, 5, 10), (725, 0, 5)]
)
def test_angles_are_apart_as_on_the_circle(answered: float, right: float, error: float) -> None:
    result = score(ANGLE, np.array([[float(answered)]]), np.array([[float(right)]]))
    assert result.angular_error == pytest.approx(error)
    assert result.root_mean_squared_error == pytest.approx(abs(answered - right))


def test_numbers_that_are_no_angles_have_no_angular_error() -> None:
    result = score(NUMBER, np.array([[0.5]]), np.array([[0.1]]))
    assert result.angular_error is result.accuracy is result.calibration_error is None
