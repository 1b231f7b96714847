"""The emulator by compiled kernels, against the library's LSTM."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from rnn2vec.emulation.config import Conditioning
from rnn2vec.emulation.emulator import Emulator
from rnn2vec.execution.cores import torch_threads


def built(conditioning: Conditioning = "every-step", hidden_size: int = 20) -> Emulator:
    """Build an emulator."""
    torch.manual_seed(0)
    return Emulator(3, 5, representation_size=4, hidden_size=hidden_size, conditioning=conditioning)


def results(
    emulator: Emulator, num_rnns: int, steps: int, dtype: torch.dtype, *, accelerated: bool
) -> dict[str, Tensor]:
    """Return outputs and all gradients."""
    emulator = copy.deepcopy(emulator).to(dtype)
    emulator.accelerated = accelerated
    generator = torch.Generator().manual_seed(1)
    representations = torch.randn(num_rnns, 4, generator=generator).to(dtype).clone().requires_grad_()
    outputs = emulator(representations, torch.randn(num_rnns, 2, steps, 3, generator=generator).to(dtype))
    (outputs * torch.randn(outputs.shape, generator=generator).to(dtype)).sum().backward()
    gradients = {name: parameter.grad for name, parameter in emulator.named_parameters()}
    found = {"outputs": outputs.detach(), "representations": representations.grad, **gradients}
    return {name: one for name, one in found.items() if one is not None}


@pytest.mark.parametrize("conditioning", ["first-step", "every-step"])
@pytest.mark.parametrize(("num_rnns", "steps", "hidden_size"), [(21, 6, 20), (1, 1, 32)])
def test_outputs_and_gradients_equal_the_librarys(
    conditioning: Conditioning, num_rnns: int, steps: int, hidden_size: int
) -> None:
    emulator = built(conditioning, hidden_size)
    expected = results(emulator, num_rnns, steps, torch.float64, accelerated=False)
    got = results(emulator, num_rnns, steps, torch.float32, accelerated=True)

    largest = max(1.0, *(float(one.abs().max()) for one in expected.values()))
    for name, one in expected.items():
        assert float((got[name] - one).abs().max()) < 1e-6 * largest, name


def test_two_runs_give_the_same_bytes() -> None:
    emulator = built()
    with torch_threads(3):
        first = results(emulator, 40, 5, torch.float32, accelerated=True)
        second = results(emulator, 40, 5, torch.float32, accelerated=True)

    assert all(torch.equal(first[name], second[name]) for name in first)


def test_inputs_that_need_a_gradient_are_left_to_the_library() -> None:
    emulator = built()
    emulator.accelerated = True
    inputs = torch.randn(2, 1, 3, 3, requires_grad=True)

    emulator(torch.randn(2, 4), inputs).sum().backward()

    assert inputs.grad is not None
