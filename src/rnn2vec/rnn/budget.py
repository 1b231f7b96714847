"""A black box that may be asked only so often: a paid service, a robot, a policy behind a slow simulator.

One call is one step of one sequence of one RNN, which is what such things charge for. What has been asked is counted
whether it is limited or not, so that an embedding can be said to have cost so many calls.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from rnn2vec._errors import Rnn2VecError, UsageError
from rnn2vec._shapes import InputStep, OutputStep
from rnn2vec.rnn.blackbox import BlackBox
from rnn2vec.rnn.interface import Kind


class BudgetError(Rnn2VecError):
    """A black box may not be asked any more."""


@runtime_checkable
class Clock(Protocol):
    """Tells the time and waits, in seconds."""

    def now(self) -> float:
        """Seconds since some moment."""
        ...

    def wait(self, seconds: float) -> None:
        """Return after so many seconds."""
        ...


@dataclass(frozen=True)
class SystemClock:
    """The clock of the machine."""

    now: Callable[[], float] = time.monotonic
    """Never goes back."""
    wait: Callable[[float], None] = time.sleep
    """Sleeps."""


class BudgetedBlackBox:
    """A black box with a budget of calls and a rate.

    The calls of one step go out together; the next step waits until they are paid for at the given rate.

    Args:
        box: what is asked.
        calls: how many calls are allowed in all; None is no limit.
        calls_per_second: the rate; None is no limit.
        clock: tells the time and waits.

    Raises:
        UsageError: a limit that allows nothing.
    """

    def __init__(
        self,
        box: BlackBox,
        *,
        calls: int | None = None,
        calls_per_second: float | None = None,
        clock: Clock | None = None,
    ) -> None:
        if (calls is not None and calls < 1) or (calls_per_second is not None and calls_per_second <= 0):
            raise UsageError(
                f"calls={calls}, calls_per_second={calls_per_second}", remedy="give positive limits, or None for none."
            )
        self._box = box
        self._calls = calls
        self._rate = calls_per_second
        self._clock = clock or SystemClock()
        self._free_at = self._clock.now()
        self.calls_made = 0
        self.num_rnns = box.num_rnns
        self.input_size = box.input_size
        self.output_size = box.output_size
        self.input_kind: Kind = box.input_kind
        self.output_kind: Kind = box.output_kind
        self.initial_state = box.initial_state

    @property
    def calls_left(self) -> int | None:
        """What is left of the budget; None where there is none."""
        return None if self._calls is None else self._calls - self.calls_made

    def step(self, inputs: InputStep, state: Any) -> tuple[OutputStep, Any]:
        """One step of every sequence, when there is a call left for each of them, and it is time.

        Raises:
            BudgetError: the budget does not cover the step; nothing was asked.
        """
        asked = inputs.shape[0] * inputs.shape[1]
        if self.calls_left is not None and asked > self.calls_left:
            raise BudgetError(
                f"{self.calls_made} of {self._calls} calls were made, and the next step needs {asked}",
                remedy="give a larger budget, or an encoder that asks less: "
                "it needs num_sequences x sequence_length calls for each RNN.",
            )
        self._wait_for_turn(asked)
        self.calls_made += asked
        return self._box.step(inputs, state)

    def _wait_for_turn(self, asked: int) -> None:
        if self._rate is None:
            return
        now = self._clock.now()
        if now < self._free_at:
            self._clock.wait(self._free_at - now)
        self._free_at = max(now, self._free_at) + asked / self._rate
