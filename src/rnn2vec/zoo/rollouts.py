"""Rollouts: the loop of Section 4 between an RNN, or anything else that steps, and an environment."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch

from rnn2vec._shapes import InputStep, OutputStep
from rnn2vec.tasks.base import Environment


@runtime_checkable
class Stepper(Protocol):
    """An object that steps N sequence models in parallel: a stack, a black box, or an emulator of either."""

    def initial_state(self, num_sequences: int) -> Any:
        """Return the state before the first step."""
        ...

    def step(self, inputs: InputStep, state: Any) -> tuple[OutputStep, Any]:
        """Advance every sequence by one step; return the outputs and the next state."""
        ...


@torch.no_grad()
def roll_out(stepper: Stepper, environment: Environment) -> None:
    """Run every episode of the environment to its end; the environment records codes and performance.

    Args:
        stepper: the N models to roll out.
        environment: environment of the same N models.
    """
    inputs: InputStep | None = environment.first()
    state = stepper.initial_state(inputs.shape[1])
    while inputs is not None:
        outputs, state = stepper.step(inputs, state)
        inputs = environment.next(outputs)
