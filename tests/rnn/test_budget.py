"""A budget of calls is kept to the call, a rate to the second; a policy is asked through its two methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from rnn2vec._errors import Rnn2VecError, UsageError
from rnn2vec.rnn import budget
from rnn2vec.rnn.blackbox import BlackBox, FunctionBlackBox, Policy, PolicyBlackBox
from rnn2vec.rnn.budget import BudgetedBlackBox, BudgetError

KINDS: dict[str, Any] = {"input_kind": "continuous", "output_kind": "continuous"}


class Asked:
    """Counts how often its function is called."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, vector: np.ndarray, state: int) -> tuple[list[float], int]:
        self.times += 1
        return [float(vector.sum()), float(state)], state + 1


class HandClock:
    """A clock that is wound by waiting alone."""

    def __init__(self) -> None:
        self.time = 100.0
        self.waits: list[float] = []

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.time += seconds


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def box(asked: Asked) -> FunctionBlackBox:
    return FunctionBlackBox(asked, lambda: 0, input_size=3, output_size=2, **KINDS)


def _steps(box: BlackBox, steps: int, sequences: int = 2) -> torch.Tensor:
    state, outputs = box.initial_state(sequences), torch.empty(0)
    for _ in range(steps):
        outputs, state = box.step(torch.ones(1, sequences, 3), state)
    return outputs


def test_it_answers_as_the_box_does_and_counts(box: FunctionBlackBox, asked: Asked) -> None:
    budgeted = BudgetedBlackBox(box)
    assert isinstance(budgeted, BlackBox)
    assert torch.equal(_steps(budgeted, 3), torch.tensor([[[3.0, 2.0], [3.0, 2.0]]]))
    assert (budgeted.calls_made, budgeted.calls_left, asked.times) == (6, None, 6)
    for name in ("num_rnns", "input_size", "output_size", "input_kind", "output_kind"):
        assert getattr(budgeted, name) == getattr(box, name)


def test_a_budget_is_used_up_and_not_overdrawn(box: FunctionBlackBox, asked: Asked) -> None:
    budgeted = BudgetedBlackBox(box, calls=7)
    _steps(budgeted, 3)
    assert budgeted.calls_left == 1
    with pytest.raises(
        BudgetError, match=r"6 of 7 calls were made, and the next step needs 2\n.*larger budget, or use an en"
    ):
        _steps(budgeted, 1)
    assert asked.times == 6
    _steps(budgeted, 1, sequences=1)
    assert (budgeted.calls_left, asked.times) == (0, 7)
    assert issubclass(BudgetError, Rnn2VecError)


def test_a_rate_is_waited_for(box: FunctionBlackBox, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = HandClock()
    monkeypatch.setattr(budget, "time", clock)
    budgeted = BudgetedBlackBox(box, calls_per_second=4)
    _steps(budgeted, 3)
    assert clock.waits == [0.5, 0.5]  # two calls a step; the first step goes at once
    clock.time += 10
    _steps(budgeted, 2)  # time that has passed is not saved up
    assert clock.waits == [0.5, 0.5, 0.5]


@pytest.mark.parametrize("limits", [{"calls": 0}, {"calls_per_second": 0.0}, {"calls_per_second": -1.0}])
def test_a_limit_that_allows_nothing_is_a_mistake(box: FunctionBlackBox, limits: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"calls=.*calls_per_second=.*\n.*positive limits"):
        BudgetedBlackBox(box, **limits)


# -- policies --------------------------------------------------------------------------------------


class Counter:
    """A policy that takes action 0, 1, 2, ... whatever it sees."""

    def __init__(self, answer: Callable[[int], Any]) -> None:
        self._answer = answer

    def reset(self) -> int:
        return 0

    def act(self, observation: np.ndarray, state: int) -> tuple[Any, int]:
        assert observation.shape == (3,)
        return self._answer(state), state + 1


def _policy(answer: Callable[[int], Any], **options: Any) -> PolicyBlackBox:
    policy = Counter(answer)
    assert isinstance(policy, Policy)
    return PolicyBlackBox(policy, observation_size=3, num_actions=2, **options)


def test_actions_are_read_as_near_certain_logits() -> None:
    box = _policy(lambda state: np.int64(state % 2), certainty=3.0)
    assert isinstance(box, BlackBox)
    assert (box.input_kind, box.output_kind) == ("continuous", "categorical")
    assert _steps(box, 1).tolist() == [[[0, -3], [0, -3]]]
    assert _steps(box, 2).tolist() == [[[-3, 0], [-3, 0]]]


def test_vectors_are_logits_or_continuous_actions() -> None:
    assert _steps(_policy(lambda state: [state, 0.5]), 3).tolist() == [[[2, 0.5]] * 2]
    assert _steps(_policy(lambda _: [1.0, 2.0], output_kind="continuous"), 1).tolist() == [[[1, 2]] * 2]


@pytest.mark.parametrize("action", [-1, 2])
def test_an_action_that_there_is_not_is_refused(action: int) -> None:
    with pytest.raises(UsageError, match=rf"answered with action {action}, expected 0\.\.1\n.*true num_actions"):
        _steps(_policy(lambda _: action), 1)


def test_a_policy_that_answers_in_another_size_is_refused() -> None:
    with pytest.raises(UsageError, match=r"the policy answered with shape \(3,\), expected \(2,\)"):
        _steps(_policy(lambda _: [1.0, 2.0, 3.0]), 1)
