"""A black box with a limited number of calls: a paid service, a robot, a policy behind a slow simulator.

A call is one step of one sequence of one RNN, the usual unit of cost. Calls are counted even without a limit, so that
the cost of an embedding is known.
"""

from __future__ import annotations

import time
from typing import Any

from rnn2vec._errors import Rnn2VecError, UsageError
from rnn2vec._shapes import InputStep, OutputStep
from rnn2vec.rnn.blackbox import BlackBox
from rnn2vec.rnn.interface import Kind


class BudgetError(Rnn2VecError):
    """Raised when the budget of a black box is exhausted.

    Examples:
        >>> box = BudgetedBlackBox(StackBlackBox(gru_stack, input_kind="continuous", output_kind="continuous"), calls=5)
        >>> state = box.initial_state(2)
        >>> try:
        ...     box.step(torch.zeros(3, 2, 4), state)
        ... except BudgetError as error:
        ...     print(error.problem)
        0 of 5 calls were made, and the next step needs 6
    """


class BudgetedBlackBox:
    """A black box with a budget of calls and a rate.

    Examples:
        >>> box = StackBlackBox(gru_stack, input_kind="continuous", output_kind="continuous")
        >>> budgeted = BudgetedBlackBox(box, calls=100)
        >>> outputs, state = budgeted.step(torch.zeros(3, 10, 4), budgeted.initial_state(10))
        >>> budgeted.calls_left
        70

    The calls of one step are made together; the next step waits until the rate permits it.

    Args:
        box: black box to limit.
        calls: maximum number of calls; None for no limit.
        calls_per_second: maximum rate; None for no limit.

    Raises:
        UsageError: if a limit is not positive.
    """

    def __init__(
        self,
        box: BlackBox,
        *,
        calls: int | None = None,
        calls_per_second: float | None = None,
    ) -> None:
        if (calls is not None and calls < 1) or (calls_per_second is not None and calls_per_second <= 0):
            raise UsageError(
                f"calls={calls}, calls_per_second={calls_per_second}", remedy="give positive limits, or None for none."
            )
        self._box = box
        self._calls = calls
        self._rate = calls_per_second
        self._free_at = time.monotonic()
        self.calls_made = 0
        self.num_rnns = box.num_rnns
        self.input_size = box.input_size
        self.output_size = box.output_size
        self.input_kind: Kind = box.input_kind
        self.output_kind: Kind = box.output_kind
        self.initial_state = box.initial_state

    @property
    def calls_left(self) -> int | None:
        """Number of calls left; None without a limit."""
        return None if self._calls is None else self._calls - self.calls_made

    def step(self, inputs: InputStep, state: Any) -> tuple[OutputStep, Any]:
        """Step every sequence, once the rate permits it.

        Raises:
            BudgetError: if the budget does not cover the step; no call was made.
        """
        asked = inputs.shape[0] * inputs.shape[1]
        if self.calls_left is not None and asked > self.calls_left:
            raise BudgetError(
                f"{self.calls_made} of {self._calls} calls were made, and the next step needs {asked}",
                remedy="give a larger budget, or use an encoder that needs fewer calls: "
                "num_sequences x sequence_length for each RNN.",
            )
        self._wait_for_turn(asked)
        self.calls_made += asked
        return self._box.step(inputs, state)

    def _wait_for_turn(self, asked: int) -> None:
        if self._rate is None:
            return
        now = time.monotonic()
        if now < self._free_at:
            time.sleep(self._free_at - now)
        self._free_at = max(now, self._free_at) + asked / self._rate
