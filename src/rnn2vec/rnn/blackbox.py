"""The step-only view of an RNN, which is all that a probing encoder sees.

A black box starts and steps. It declares the sizes and kinds of its inputs and outputs, and nothing else: no weights,
no
architecture, no hidden size. Anything that steps can be probed: a stack of N RNNs, an `nn.Module`, a Python function, a
recurrent policy. `rnn2vec.rnn.budget` limits the number of calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from rnn2vec._errors import UsageError
from rnn2vec._shapes import InputStep, OutputStep, State
from rnn2vec.rnn.interface import Kind
from rnn2vec.rnn.stack import RNNStack


@runtime_checkable
class BlackBox(Protocol):
    """N RNNs that step in parallel, each on its own sequences.

    Examples:
        >>> box = StackBlackBox(gru_stack, input_kind="continuous", output_kind="continuous")
        >>> outputs, state = box.step(torch.zeros(3, 10, 4), box.initial_state(10))
        >>> outputs.shape, isinstance(box, BlackBox)
        (torch.Size([3, 10, 4]), True)
    """

    @property
    def num_rnns(self) -> int:
        """Number of RNNs, N."""
        ...

    @property
    def input_size(self) -> int:
        """Number of features of an input step, I."""
        ...

    @property
    def output_size(self) -> int:
        """Number of features of an output step, O."""
        ...

    @property
    def input_kind(self) -> Kind:
        """Kind of the inputs."""
        ...

    @property
    def output_kind(self) -> Kind:
        """Kind of the outputs."""
        ...

    def initial_state(self, num_sequences: int) -> Any:
        """Return the state before the first step of `num_sequences` sequences per RNN; opaque to the caller."""
        ...

    def step(self, inputs: InputStep, state: Any) -> tuple[OutputStep, Any]:
        """Step every sequence: inputs `(N, B, I)` to outputs `(N, B, O)`, and the next state."""
        ...


class StackBlackBox:
    """An `RNNStack` as a black box, differentiable with respect to its inputs.

    Examples:
        >>> box = StackBlackBox(gru_stack, input_kind="continuous", output_kind="continuous")
        >>> encoder = encoders.build("interactive-probing", spec)
        >>> encoder(box).shape
        torch.Size([3, 16])

    Inputs may have any float type and device, and outputs have the same; the stack computes in its own.

    Args:
        stack: the RNNs.
        input_kind: kind of their inputs.
        output_kind: kind of their outputs.
        first_state: initial state of every sequence: the state vectors of each layer, `(N, 1, H)`; zeros by default.
    """

    def __init__(
        self, stack: RNNStack, *, input_kind: Kind, output_kind: Kind, first_state: State | None = None
    ) -> None:
        self._stack = stack
        self._first_state = first_state
        self.input_kind: Kind = input_kind
        self.output_kind: Kind = output_kind
        self.num_rnns = len(stack)
        self.input_size = stack.spec.input_size
        self.output_size = stack.spec.output_size

    def step(self, inputs: InputStep, state: Any) -> tuple[OutputStep, State]:
        """Step every sequence: `(N, B, I)` to `(N, B, O)`."""
        outputs, state = self._stack.step(inputs.to(self._stack.weights["readout.bias"]), state)
        return outputs.to(inputs), state

    def initial_state(self, num_sequences: int) -> State:
        """Return zeros, or the first state, for every sequence."""
        zeros = self._stack.initial_state(num_sequences)
        if self._first_state is None:
            return zeros
        layers = zip(self._first_state, zeros, strict=True)
        return tuple(
            tuple(one.to(like).expand_as(like) for one, like in zip(first, blank, strict=True))
            for first, blank in layers
        )


class ModuleBlackBox:
    """An `nn.Module` that maps `((B, 1, I), state)` to `((B, 1, O), state)`, with `state=None` at the start.

    Examples:
        >>> module = gru_stack.to_modules()[0]
        >>> box = ModuleBlackBox(module, input_size=4, output_size=4, input_kind="continuous", output_kind="continuous")
        >>> outputs, state = box.step(torch.zeros(1, 10, 4), box.initial_state(10))
        >>> outputs.shape
        torch.Size([1, 10, 4])

    Modules made by `RNNStack.to_modules`, and any wrapper of `nn.LSTM(batch_first=True)` with that call, are suitable.
    Inputs may have any float type and device, and outputs have the same; the module computes in those of its
    parameters.

    Args:
        module: the module, which is called but not inspected.
        input_size: number of features of an input step.
        output_size: number of features of an output step.
        input_kind: kind of its inputs.
        output_kind: kind of its outputs.
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
        """Step every sequence: `(1, B, I)` to `(1, B, O)`."""
        reference = next(self._module.parameters(), inputs)
        outputs, state = self._module(inputs[0].unsqueeze(1).to(reference), state)
        return outputs[:, 0].unsqueeze(0).to(inputs), state


class _OneByOne:
    """A black box that is called once per sequence and step, with NumPy vectors; not differentiable.

    Args:
        input_size: length of an input vector.
        output_size: length of an output vector.
        input_kind: kind of its inputs.
        output_kind: kind of its outputs.
    """

    num_rnns = 1

    def __init__(self, *, input_size: int, output_size: int, input_kind: Kind, output_kind: Kind) -> None:
        self.input_size = input_size
        self.output_size = output_size
        self.input_kind: Kind = input_kind
        self.output_kind: Kind = output_kind

    _called: ClassVar[str]
    """Description for error messages."""
    _first: Callable[[], Any]
    """Makes the state before the first step."""
    _answer: Callable[[Any, Any], tuple[Any, Any]]
    """Output vector and next state, from input vector and state."""

    def initial_state(self, num_sequences: int) -> list[Any]:
        """Return a state for each sequence."""
        return [self._first() for _ in range(num_sequences)]

    def step(self, inputs: InputStep, state: Any) -> tuple[OutputStep, list[Any]]:
        """Call it once for each sequence: `(1, B, I)` to `(1, B, O)`.

        Raises:
            UsageError: if an output does not consist of `output_size` numbers.
        """
        vectors = inputs[0].detach().cpu().numpy().copy()  # what is called may write into what it gets
        answers = [self._answer(vector, one) for vector, one in zip(vectors, state, strict=True)]
        outputs: list[Tensor] = [torch.as_tensor(answer, dtype=inputs.dtype) for answer, _ in answers]
        for output in outputs:
            if tuple(output.shape) != (self.output_size,):
                raise UsageError(
                    f"the {self._called} answered with shape {tuple(output.shape)}, expected ({self.output_size},)",
                    remedy="return one vector of output_size numbers, or give its true output_size.",
                )
        return torch.stack(outputs).unsqueeze(0).to(inputs.device), [new for _, new in answers]


class FunctionBlackBox(_OneByOne):
    """A Python function `(input vector, state) -> (output vector, state)`, called once per sequence and step.

    Examples:
        >>> sizes = {"input_size": 1, "output_size": 1, "input_kind": "continuous", "output_kind": "continuous"}
        >>> box = FunctionBlackBox(lambda x, total: (x + total, x + total), lambda: 0.5, **sizes)
        >>> outputs, state = box.step(torch.ones(1, 2, 1), box.initial_state(2))
        >>> outputs.flatten().tolist()
        [1.5, 1.5]

    It is not differentiable: it can be embedded, but not used to train an encoder.

    Args:
        function: function that takes and returns NumPy vectors or sequences of numbers; `state` is its last return
            value.
        first_state: function that returns the state before the first step.
        input_size: length of an input vector.
        output_size: length of an output vector.
        input_kind: kind of its inputs.
        output_kind: kind of its outputs.
    """

    _called = "function"

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
        super().__init__(input_size=input_size, output_size=output_size, input_kind=input_kind, output_kind=output_kind)
        self._answer = function
        self._first = first_state


@runtime_checkable
class Policy(Protocol):
    """A recurrent policy as reinforcement learning has it."""

    def reset(self) -> Any:
        """Return the state at the start of an episode."""
        ...

    def act(self, observation: Any, state: Any) -> tuple[Any, Any]:
        """Return the action and the next state for an observation."""
        ...


class PolicyBlackBox(_OneByOne):
    """A recurrent policy with `reset()` and `act(observation, state)`, called once per sequence and step.

    Examples:
        >>> class Counter:
        ...     def reset(self):
        ...         return 0
        ...
        ...     def act(self, observation, state):
        ...         return observation + state, state + 1
        >>> kinds = {"input_kind": "continuous", "output_kind": "continuous"}
        >>> box = PolicyBlackBox(Counter(), observation_size=1, num_actions=1, **kinds)
        >>> outputs, state = box.step(torch.ones(1, 2, 1), box.initial_state(2))
        >>> outputs.flatten().tolist(), state
        ([1.0, 1.0], [1, 1])

    What it answers is its action: a vector (continuous), or for `output_kind="categorical"` either a vector of logits
    or the number of the action taken. A number says less than logits: it is read as logits of 0 for that action and
    `-certainty` for the others.

    Args:
        policy: the policy; nothing of it is used but these two methods.
        observation_size: length of an observation.
        num_actions: length of a continuous action, or how many actions there are.
        input_kind: what observations are.
        output_kind: what actions are.
        certainty: how far below the chosen action the others are put, in nats.
    """

    _called = "policy"

    def __init__(
        self,
        policy: Policy,
        *,
        observation_size: int,
        num_actions: int,
        input_kind: Kind = "continuous",
        output_kind: Kind = "categorical",
        certainty: float = 5.0,
    ) -> None:
        super().__init__(
            input_size=observation_size, output_size=num_actions, input_kind=input_kind, output_kind=output_kind
        )
        self._first = policy.reset
        self._answer = self._act
        self._policy = policy
        self._certainty = certainty

    def _act(self, vector: Any, state: Any) -> tuple[Any, Any]:
        action, state = self._policy.act(vector, state)
        if self.output_kind == "categorical" and np.ndim(action) == 0:
            action = self._as_logits(action)
        return action, state

    def _as_logits(self, action: Any) -> np.ndarray:
        number = int(action)
        if not 0 <= number < self.output_size:
            raise UsageError(
                f"the policy answered with action {number}, expected 0..{self.output_size - 1}",
                remedy="give its true num_actions; actions count from 0.",
            )
        logits = np.full(self.output_size, -self._certainty)
        logits[number] = 0.0
        return logits
