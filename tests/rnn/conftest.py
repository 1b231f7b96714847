"""RNNs to test with, made by `torch.nn` alone, so that the library is compared with something it did not make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack


class Net(nn.Module):
    """What a user has: a recurrent module and a linear head, under names of their own."""

    def __init__(self, spec: RNNSpec, dtype: torch.dtype) -> None:
        super().__init__()
        kinds: dict[str, Any] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn_tanh": nn.RNN, "rnn_relu": nn.RNN}
        options = {"nonlinearity": spec.cell[4:]} if spec.cell.startswith("rnn") else {}
        self.core = kinds[spec.cell](
            spec.input_size, spec.hidden_size, spec.num_layers, batch_first=True, dtype=dtype, **options
        )
        self.head = nn.Linear(spec.hidden_size, spec.output_size, dtype=dtype)

    def forward(self, inputs: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        hidden, state = self.core(inputs, state)
        return self.head(hidden), state


def fill(module: nn.Module, generator: torch.Generator) -> nn.Module:
    """Weights of about the size that trained RNNs have, from this generator and no other."""
    with torch.no_grad():
        for weight in module.parameters():
            weight.uniform_(-0.6, 0.6, generator=generator)
    return module


@pytest.fixture
def make_nets(generator: torch.Generator) -> Callable[..., list[nn.Module]]:
    """`make_nets(spec, 3)`: three `torch.nn` modules of an architecture."""

    def make(spec: RNNSpec, number: int, dtype: torch.dtype = torch.float64) -> list[nn.Module]:
        return [fill(Net(spec, dtype), generator) for _ in range(number)]

    return make


@pytest.fixture
def make_stack(generator: torch.Generator) -> Callable[..., RNNStack]:
    """`make_stack(spec, 3)`: three RNNs of an architecture with random weights."""

    def make(spec: RNNSpec, number: int = 3, dtype: torch.dtype = torch.float64) -> RNNStack:
        flat = torch.rand(number, spec.num_parameters, generator=generator, dtype=dtype)
        return RNNStack.from_flat(spec, 1.2 * flat - 0.6)

    return make


@pytest.fixture
def draw(generator: torch.Generator) -> Callable[..., Tensor]:
    """`draw(2, 3)`: normal numbers of a shape."""

    def make(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=dtype)

    return make
