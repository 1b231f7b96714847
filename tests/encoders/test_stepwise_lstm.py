"""The LSTM that is read step by step: nn.LSTMCell's numbers and gradients, from a graph of fewer nodes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from rnn2vec.encoders.stepwise_lstm import Memory, StepwiseLSTM

STEPS, NUMBER, SIZE = 4, 3, 5


@pytest.fixture
def cells() -> list[nn.Module]:
    """Two layers in float64."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return [nn.LSTMCell(SIZE, SIZE, dtype=torch.float64) for _ in range(2)]


@pytest.fixture
def start(generator: torch.Generator) -> Tensor:
    """Draw the input of the first step."""
    return torch.randn(NUMBER, SIZE, generator=generator, dtype=torch.float64)


def _blank() -> Memory:
    zeros = torch.zeros(NUMBER, SIZE, dtype=torch.float64)
    return ((zeros, zeros),) * 2


def _stepwise(cells: list[nn.Module], start: Tensor) -> Tensor:
    """Run steps whose inputs depend on the previous step, as in a dialogue."""
    lstm, memory, read, said = StepwiseLSTM(cells), _blank(), start, []
    for _ in range(STEPS):
        memory = lstm.step(read, memory)
        read = memory[-1][0].sin() + start
        said.append(memory[-1][0])
    return torch.stack([*said, memory[0][1]])


def _plainly(cells: list[nn.Module], start: Tensor) -> Tensor:
    memory, read, said = list(_blank()), start, []
    for _ in range(STEPS):
        below = read
        for layer, cell in enumerate(cells):
            memory[layer] = cell(below, memory[layer])
            below = memory[layer][0]
        read = below.sin() + start
        said.append(below)
    return torch.stack([*said, memory[0][1]])


def _gradients(outputs: Tensor, cells: list[nn.Module], start: Tensor) -> tuple[Tensor, ...]:
    weights = [weight for cell in cells for weight in cell.parameters()]
    return torch.autograd.grad(outputs.square().sum(), [start, *weights])


def test_outputs_and_gradients_are_those_of_the_cells(cells: list[nn.Module], start: Tensor) -> None:
    start.requires_grad_()
    ours, plain = _stepwise(cells, start), _plainly(cells, start)
    torch.testing.assert_close(ours, plain, rtol=0, atol=1e-14)
    for gradient, expected in zip(_gradients(ours, cells, start), _gradients(plain, cells, start), strict=True):
        torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-13)


def test_a_dialogue_that_is_judged_early_has_the_gradients_up_to_there(cells: list[nn.Module], start: Tensor) -> None:
    start.requires_grad_()
    ours, plain = (run(cells, start)[1:2] for run in (_stepwise, _plainly))
    for gradient, expected in zip(_gradients(ours, cells, start), _gradients(plain, cells, start), strict=True):
        torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-13)


def test_each_backward_pass_counts_its_own_steps_alone(cells: list[nn.Module], start: Tensor) -> None:
    start.requires_grad_()
    outputs = _stepwise(cells, start)
    first = torch.autograd.grad(outputs.sum(), list(cells[0].parameters()), retain_graph=True)
    again = torch.autograd.grad(outputs.sum(), list(cells[0].parameters()))
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one, other)


def test_without_gradients_it_runs_too(cells: list[nn.Module], start: Tensor) -> None:
    with torch.no_grad():
        torch.testing.assert_close(_stepwise(cells, start), _plainly(cells, start), rtol=0, atol=1e-14)
