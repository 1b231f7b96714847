"""Rollouts: the loop of Section 4 between an RNN, or anything else that steps, and an environment."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch

from rnn2vec._shapes import InputStep, OutputStep
from rnn2vec.rnn import fused
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.tasks.base import Environment, SampledTokens


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


def roll_out_by_kernels(stack: RNNStack, environment: Environment) -> bool:
    """Do what `roll_out` does, by compiled kernels, where the environment says enough of itself.

    Tokens are sampled from the same probabilities to 1e-6: one whose random number is that near to a limit can differ.

    Args:
        stack: RNNs for which `rnn.fused.suits` holds.
        environment: their environment.

    Returns:
        Whether the episodes were run.
    """
    sampled, inputs = environment.sampled(), environment.known_inputs()
    if sampled is not None:
        _sample(stack, sampled)
    elif inputs is not None:
        environment.first()
        for output in fused.outputs_of(stack, inputs).unbind(2):
            environment.next(output)
    return sampled is not None or inputs is not None


def _sample(stack: RNNStack, sampled: SampledTokens) -> None:
    """Fill in the tokens of every episode."""
    from rnn2vec.rnn.kernels.steps import sizes_of  # noqa: PLC0415 (it takes Numba)
    from rnn2vec.zoo.sampling_kernels import compiled  # noqa: PLC0415

    sample, sizes, flat = compiled(), sizes_of(stack.spec), stack.flatten().numpy()
    for weights, draws, tokens in zip(flat, sampled.draws, sampled.tokens, strict=True):
        sample(sizes, weights, draws, tokens)
