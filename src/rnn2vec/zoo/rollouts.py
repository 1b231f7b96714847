"""Let RNNs act: the loop of Section 4 between something that steps and an environment."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch

from rnn2vec._shapes import InputStep, OutputStep
from rnn2vec.tasks.base import Environment


@runtime_checkable
class Stepper(Protocol):
    """N things that step side by side: a stack, a black box, an emulator that imitates them."""

    def initial_state(self, num_sequences: int) -> Any:
        """The state before the first step."""
        ...

    def step(self, inputs: InputStep, state: Any) -> tuple[OutputStep, Any]:
        """One step of every sequence."""
        ...


@torch.no_grad()
def roll_out(stepper: Stepper, environment: Environment) -> None:
    """Run every episode of the environment to its end; the environment keeps the codes and the score."""
    inputs: InputStep | None = environment.first()
    state = stepper.initial_state(inputs.shape[1])
    while inputs is not None:
        outputs, state = stepper.step(inputs, state)
        inputs = environment.next(outputs)
