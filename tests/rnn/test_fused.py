"""Compiled kernels for stacks, against torch in float64."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from rnn2vec._shapes import State
from rnn2vec.execution.cores import torch_threads
from rnn2vec.rnn import fused
from rnn2vec.rnn.spec import CellName, RNNSpec
from rnn2vec.rnn.stack import RNNStack

Run = Callable[[RNNStack, Tensor, State], tuple[Tensor, State]]
CELLS: list[CellName] = ["lstm", "gru", "rnn_tanh", "rnn_relu"]
SIZES = [(6, 32, 2, 6), (3, 20, 1, 17), (1, 5, 3, 1)]
"""Inputs, hidden units, layers, outputs."""


def drawn(cell: CellName, sizes: tuple[int, int, int, int], num_rnns: int = 3) -> RNNStack:
    """Draw a stack."""
    inputs, hidden, layers, outputs = sizes
    spec = RNNSpec(cell=cell, input_size=inputs, hidden_size=hidden, num_layers=layers, output_size=outputs)
    generator = torch.Generator().manual_seed(0)
    flat = torch.rand(num_rnns, spec.num_parameters, generator=generator) - 0.5
    return RNNStack.from_flat(spec, 3 * hidden**-0.5 * flat)


def results(run: Run, stack: RNNStack, dtype: torch.dtype) -> list[Tensor]:
    """Return outputs, last state, and the gradients of inputs and first state."""
    stack = stack.to(dtype)
    generator = torch.Generator().manual_seed(1)
    shape = (len(stack), 4, 9, stack.spec.input_size)
    inputs = torch.randn(shape, generator=generator).to(dtype).requires_grad_()
    state = tuple(
        tuple((vector + 0.3).requires_grad_() for vector in layer) for layer in stack.initial_state(num_sequences=4)
    )
    outputs, after = run(stack, inputs, state)
    last = [vector for layer in after for vector in layer]
    objective = outputs.square().sum() + sum((vector * (1 + vector)).sum() for vector in last)
    first = [vector for layer in state for vector in layer]
    return [outputs, *last, *torch.autograd.grad(objective, [inputs, *first])]


def largest_error(got: list[Tensor], expected: list[Tensor]) -> float:
    """Return the largest difference, relative to the largest number of its tensor."""
    pairs = zip(got, expected, strict=True)
    return max(float(((one - other).abs().max() / other.abs().max()).detach()) for one, other in pairs)


@pytest.mark.parametrize(("cell", "sizes"), list(itertools.product(CELLS, SIZES)))
def test_outputs_and_gradients_equal_torchs(cell: CellName, sizes: tuple[int, int, int, int]) -> None:
    stack = drawn(cell, sizes)
    expected = results(RNNStack.__call__, stack, torch.float64)

    assert largest_error(results(fused.run, stack, torch.float32), expected) < 1e-6


def test_the_number_of_threads_and_the_company_change_no_bit() -> None:
    stack = drawn("lstm", SIZES[0], num_rnns=21)
    inputs = torch.rand(21, 2, 5, 6)
    with torch_threads(1):
        alone, _ = fused.run(stack.select(slice(13, 14)), inputs[13:14])
        expected, _ = fused.run(stack, inputs)
    with torch_threads(3):
        outputs, _ = fused.run(stack, inputs)

    assert torch.equal(outputs, expected)
    assert torch.equal(outputs[13:14], alone)


def test_a_graph_that_is_kept_can_be_walked_twice() -> None:
    stack = drawn("gru", SIZES[1])
    inputs = torch.rand(3, 2, 5, 3, requires_grad=True)
    outputs, _ = fused.run(stack, inputs)
    (first,) = torch.autograd.grad(outputs.sum(), [inputs], retain_graph=True)
    fused.run(stack, inputs)  # borrows memory of its own

    (second,) = torch.autograd.grad(outputs.sum(), [inputs])

    assert torch.equal(first, second)


@pytest.mark.parametrize(
    "change",
    [lambda stack: stack.to(torch.float64), lambda stack: stack.to("meta")],
    ids=["float64", "another device"],
)
def test_what_kernels_cannot_do_is_left_to_torch(change: Callable[[RNNStack], Any]) -> None:
    stack = drawn("lstm", SIZES[0])

    assert fused.suits(stack)
    assert not fused.suits(change(stack))


def test_weights_that_need_a_gradient_are_left_to_torch() -> None:
    stack = drawn("lstm", SIZES[0])
    stack.weights["readout.bias"].requires_grad_()

    assert not fused.suits(stack)
