"""The step-only view of an RNN: all that an encoder which interrogates may see.

A black box starts, steps, and answers. It says how large its inputs and outputs are and of which kind, and
nothing else: no weights, no architecture, no hidden size. Whatever steps can be probed: a stack of N RNNs, one
`nn.Module`, a Python function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from rnn2vec._errors import UsageError
from rnn2vec._shapes import InputStep, OutputStep
from rnn2vec.rnn.interface import Kind
from rnn2vec.rnn.stack import RNNStack


@runtime_checkable
class BlackBox(Protocol):
    """N things that step side by side, each on its own sequences."""

    @property
    def num_rnns(self) -> int:
        """How many there are, N."""
        ...

    @property
    def input_size(self) -> int:
        """Features of one input step, I."""
        ...

    @property
    def output_size(self) -> int:
        """Features of one output step, O."""
        ...

    @property
    def input_kind(self) -> Kind:
        """What an input step is."""
        ...

    @property
    def output_kind(self) -> Kind:
        """What an output step is."""
        ...

    def initial_state(self, num_sequences: int) -> Any:
        """The state before the first step of `num_sequences` sequences per RNN; opaque to the caller."""
        ...

    def step(self, inputs: InputStep, state: Any) -> tuple[OutputStep, Any]:
        """One step of every sequence: inputs `(N, B, I)` to outputs `(N, B, O)`, and the next state."""
        ...


class StackBlackBox:
    """An `RNNStack` behind the black-box view. Differentiable with respect to its inputs.

    Args:
        stack: the RNNs.
        input_kind: what their inputs are.
        output_kind: what their outputs are.
    """

    def __init__(self, stack: RNNStack, *, input_kind: Kind, output_kind: Kind) -> None:
        self._stack = stack
        self.input_kind: Kind = input_kind
        self.output_kind: Kind = output_kind
        self.num_rnns = len(stack)
        self.input_size = stack.spec.input_size
        self.output_size = stack.spec.output_size
        self.initial_state = stack.initial_state
        self.step = stack.step


class ModuleBlackBox:
    """One `nn.Module` that maps `((B, 1, I), state)` to `((B, 1, O), state)`, with `state=None` at the start.

    Modules made by `RNNStack.to_modules` and any wrapper of `nn.LSTM(batch_first=True)` with that call do.

    Args:
        module: the module; it is called, never looked into.
        input_size: features of one input step.
        output_size: features of one output step.
        input_kind: what its inputs are.
        output_kind: what its outputs are.
    """

    num_rnns = 1

    def __init__(
        self, module: nn.Module, *, input_size: int, output_size: int, input_kind: Kind, output_kind: Kind
    ) -> None:
        self._module = module
        self.input_size = input_size
        self.output_size = output_size
        self.input_kind: Kind = input_kind
        self.output_kind: Kind = output_kind

    def initial_state(self, num_sequences: int) -> Any:  # noqa: ARG002
        """`None`: the module starts by itself."""
        return None

    def step(self, inputs: InputStep, state: Any) -> tuple[OutputStep, Any]:
        """One step: `(1, B, I)` to `(1, B, O)`."""
        outputs, state = self._module(inputs[0].unsqueeze(1), state)
        return outputs[:, 0].unsqueeze(0), state


class FunctionBlackBox:
    """One Python function `(input vector, state) -> (output vector, state)`, called once per sequence and step.

    Not differentiable: good for embedding, not for training an encoder.

    Args:
        function: takes and returns NumPy vectors or sequences of numbers; `state` is whatever it returned last.
        first_state: makes the state before the first step.
        input_size: length of an input vector.
        output_size: length of an output vector.
        input_kind: what its inputs are.
        output_kind: what its outputs are.
    """

    num_rnns = 1

    def __init__(
        self,
        function: Callable[[Any, Any], tuple[Any, Any]],
        first_state: Callable[[], Any],
        *,
        input_size: int,
        output_size: int,
        input_kind: Kind,
        output_kind: Kind,
    ) -> None:
        self._function = function
        self._first_state = first_state
        self.input_size = input_size
        self.output_size = output_size
        self.input_kind: Kind = input_kind
        self.output_kind: Kind = output_kind

    def initial_state(self, num_sequences: int) -> list[Any]:
        """One state per sequence."""
        return [self._first_state() for _ in range(num_sequences)]

    def step(self, inputs: InputStep, state: Any) -> tuple[OutputStep, list[Any]]:
        """One call per sequence: `(1, B, I)` to `(1, B, O)`.

        Raises:
            UsageError: the function did not answer with `output_size` numbers.
        """
        vectors = inputs[0].detach().cpu().numpy().copy()  # the function may write into what it gets
        answers = [self._function(vector, one) for vector, one in zip(vectors, state, strict=True)]
        outputs: list[Tensor] = [torch.as_tensor(answer, dtype=inputs.dtype) for answer, _ in answers]
        for output in outputs:
            if tuple(output.shape) != (self.output_size,):
                raise UsageError(
                    f"the function answered with shape {tuple(output.shape)}, expected ({self.output_size},)",
                    remedy="return one vector of output_size numbers, or give its true output_size.",
                )
        return torch.stack(outputs).unsqueeze(0).to(inputs.device), [new for _, new in answers]
