"""The step-only view: a stack, a module and a function behind it give the answers of the RNN itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rnn2vec._errors import UsageError
from rnn2vec.rnn.blackbox import BlackBox, FunctionBlackBox, ModuleBlackBox, StackBlackBox
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack

SPEC = RNNSpec(cell="rnn_tanh", input_size=4, hidden_size=6, num_layers=1, output_size=3)
KINDS: dict[str, Any] = {"input_kind": "categorical", "output_kind": "continuous"}
SIZES = {"input_size": 4, "output_size": 3}
Draw = Callable[..., Tensor]


def _as_function(stack: RNNStack) -> FunctionBlackBox:
    """The same RNN written out in NumPy, from the equations and not from our code."""
    weights = {name.rpartition(".")[2] if "rnn" in name else name: w[0].numpy() for name, w in stack.weights.items()}

    def step(vector: np.ndarray, hidden: np.ndarray) -> tuple[list[float], np.ndarray]:
        hidden = np.tanh(
            weights["weight_ih_l0"] @ vector
            + weights["bias_ih_l0"]
            + weights["weight_hh_l0"] @ hidden
            + weights["bias_hh_l0"]
        )
        vector += 100  # what a careless function does to its argument is not seen outside
        return (weights["readout.weight"] @ hidden + weights["readout.bias"]).tolist(), hidden

    return FunctionBlackBox(step, lambda: np.zeros(6), **SIZES, **KINDS)


def _boxes(stack: RNNStack) -> dict[str, BlackBox]:
    return {
        "stack": StackBlackBox(stack, **KINDS),
        "module": ModuleBlackBox(stack.to_modules()[0], **SIZES, **KINDS),
        "function": _as_function(stack),
    }


@pytest.mark.parametrize("kind", ["stack", "module", "function"])
def test_it_answers_like_the_rnn(make_stack: Callable[..., RNNStack], draw: Draw, kind: str) -> None:
    stack = make_stack(SPEC, 1)
    box, inputs = _boxes(stack)[kind], draw(1, 2, 7, 4)
    before = inputs.clone()

    state, outputs = box.initial_state(2), []
    for step in inputs.unbind(2):
        output, state = box.step(step, state)
        outputs.append(output)

    assert isinstance(box, BlackBox)
    torch.testing.assert_close(torch.stack(outputs, dim=2), stack(inputs)[0], rtol=0, atol=1e-12)
    assert torch.equal(inputs, before)


@pytest.mark.parametrize("kind", ["stack", "module", "function"])
def test_it_tells_sizes_and_kinds_and_nothing_else(make_stack: Callable[..., RNNStack], kind: str) -> None:
    box = _boxes(make_stack(SPEC, 1))[kind]

    assert (box.num_rnns, box.input_size, box.output_size) == (1, 4, 3)
    assert (box.input_kind, box.output_kind) == ("categorical", "continuous")
    public = {name for name in dir(box) if not name.startswith("_")}
    assert public == {
        "num_rnns", "input_size", "output_size", "input_kind", "output_kind", "initial_state", "step",
    }  # fmt: skip


def test_many_rnns_step_side_by_side(make_stack: Callable[..., RNNStack], draw: Draw) -> None:
    stack = make_stack(SPEC, 5)
    box = StackBlackBox(stack, **KINDS)
    inputs = draw(5, 2, 4)

    assert box.num_rnns == 5
    outputs, _ = box.step(inputs, box.initial_state(2))
    torch.testing.assert_close(outputs, stack(inputs.unsqueeze(2))[0].squeeze(2), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["stack", "module"])
def test_gradients_reach_the_probes(make_stack: Callable[..., RNNStack], draw: Draw, kind: str) -> None:
    stack = make_stack(SPEC, 1)
    box, probe = _boxes(stack)[kind], draw(1, 2, 4).requires_grad_()
    box.step(probe, box.initial_state(2))[0].square().sum().backward()
    expected = probe.detach().clone().requires_grad_()
    stack(expected.unsqueeze(2))[0].square().sum().backward()
    torch.testing.assert_close(probe.grad, expected.grad, rtol=0, atol=1e-12)


def test_a_function_answers_in_the_type_of_the_probes(make_stack: Callable[..., RNNStack], draw: Draw) -> None:
    box = _as_function(make_stack(SPEC, 1))
    outputs, _ = box.step(draw(1, 2, 4, dtype=torch.float32).requires_grad_(), box.initial_state(2))
    assert outputs.dtype == torch.float32
    assert not outputs.requires_grad


@pytest.mark.parametrize("answer", [[1.0, 2.0], [[1.0, 2.0, 3.0]], 1.0])
def test_a_function_that_answers_in_another_size_is_refused(answer: Any, draw: Draw) -> None:
    box = FunctionBlackBox(lambda _, state: (answer, state), lambda: None, **SIZES, **KINDS)
    with pytest.raises(UsageError, match=r"answered with shape \(.*\), expected \(3,\)\n.*true output_size"):
        box.step(draw(1, 2, 4), box.initial_state(2))


def test_what_cannot_step_is_no_black_box(make_stack: Callable[..., RNNStack]) -> None:
    assert not isinstance(make_stack(SPEC, 1), BlackBox)
