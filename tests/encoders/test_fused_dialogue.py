"""Probing by compiled kernels, against the loop in torch."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from rnn2vec import encoders
from rnn2vec._errors import DataError
from rnn2vec.encoders.base import WeightEncoder
from rnn2vec.execution.cores import torch_threads
from rnn2vec.rnn.interface import Interface
from rnn2vec.rnn.spec import CellName, RNNSpec
from rnn2vec.rnn.stack import RNNStack

TOKENS = Interface(input_kind="categorical", output_kind="categorical", first_input=(0.0,) * 5 + (1.0,))
NUMBERS = Interface(
    input_kind="continuous",
    output_kind="continuous",
    first_input=(0.0,) * 6,
    input_range=(-0.4, 2.8),
    output_scale=(0.1, 0.2),
)
PROBING = ["interactive-probing", "noninteractive-probing"]


def drawn(cell: CellName, num_rnns: int, hidden_size: int = 20) -> RNNStack:
    """Draw a stack."""
    spec = RNNSpec(cell=cell, input_size=6, hidden_size=hidden_size, num_layers=2, output_size=6)
    flat = torch.rand(num_rnns, spec.num_parameters, generator=torch.Generator().manual_seed(0)) - 0.5
    return RNNStack.from_flat(spec, 3 * hidden_size**-0.5 * flat)


def built(name: str, stack: RNNStack, interface: Interface, **options: Any) -> WeightEncoder:
    """Build an encoder for a stack."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 24, "mlp_size": 33, "num_sequences": 3, "sequence_length": 5}
    return encoders.build(name, stack.spec, interface=interface, **(sizes | options))


def results(encoder: WeightEncoder, stack: RNNStack, dtype: torch.dtype, *, accelerated: bool) -> dict[str, Tensor]:
    """Return representations and all gradients."""
    encoder = copy.deepcopy(encoder).to(dtype)
    encoder.accelerated = accelerated
    representations = encoder(stack.to(dtype))
    weights = torch.linspace(-1, 1, representations.numel(), dtype=dtype).view_as(representations)
    (representations * weights).sum().backward()
    gradients = {
        name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        for name, parameter in encoder.named_parameters()
    }
    return {"representations": representations.detach(), **gradients}


def require_equal(encoder: WeightEncoder, stack: RNNStack) -> None:
    """Check representations and gradients against torch's in float64."""
    expected = results(encoder, stack, torch.float64, accelerated=False)
    got = results(encoder, stack, torch.float32, accelerated=True)
    largest = max(float(one.abs().max()) for one in expected.values())
    for name, one in expected.items():
        assert float((got[name] - one).abs().max()) < 1e-6 * max(1.0, largest), name


@pytest.mark.parametrize("name", PROBING)
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn_tanh", "rnn_relu"])
@pytest.mark.parametrize("interface", [TOKENS, NUMBERS], ids=["tokens", "numbers"])
def test_representations_and_gradients_equal_torchs(name: str, cell: CellName, interface: Interface) -> None:
    stack = drawn(cell, num_rnns=5)

    require_equal(built(name, stack, interface), stack)


@pytest.mark.parametrize(
    "options",
    [
        {"first_input": False, "normalize": False},
        {"probe_start": "learned"},
        {"sequence_length": 1, "num_sequences": 1},
        {"sequence_length": 1, "first_input": False},
        {"hidden_size": 16, "mlp_size": 16, "unit_norm": False},
    ],
    ids=", ".join,
)
def test_every_variant_equals_torchs(options: dict[str, Any]) -> None:
    stack = drawn("lstm", num_rnns=3)

    require_equal(built("interactive-probing", stack, TOKENS, **options), stack)


@pytest.mark.parametrize("name", PROBING)
def test_threads_change_no_bit_of_a_representation_and_no_gradient_changes_in_a_second_run(name: str) -> None:
    stack = drawn("gru", num_rnns=70)
    encoder = built(name, stack, TOKENS)
    with torch_threads(1):
        expected = results(encoder, stack, torch.float32, accelerated=True)
    with torch_threads(3):
        got = results(encoder, stack, torch.float32, accelerated=True)
        again = results(encoder, stack, torch.float32, accelerated=True)

    assert torch.equal(got["representations"], expected["representations"])
    assert all(torch.equal(got[key], again[key]) for key in expected)


def test_a_representation_does_not_depend_on_the_company() -> None:
    stack = drawn("gru", num_rnns=70)
    encoder = built("interactive-probing", stack, TOKENS)
    encoder.accelerated = True

    alone, together = encoder(stack.select([40]))[0], encoder(stack)[40]

    torch.testing.assert_close(alone, together, rtol=0, atol=1e-6)  # torch's product at the end rounds as it likes


def test_without_a_way_back_the_numbers_are_the_same() -> None:
    stack = drawn("lstm", num_rnns=5)
    encoder = built("interactive-probing", stack, TOKENS)
    encoder.accelerated = True
    with torch.no_grad():
        embedded = encoder(stack)

    assert torch.equal(embedded, encoder(stack).detach())


def test_an_rnn_that_diverged_is_named() -> None:
    stack = drawn("lstm", num_rnns=5)
    stack.weights["rnn.weight_hh_l0"][3] = float("nan")
    encoder = built("interactive-probing", stack, TOKENS)
    encoder.accelerated = True

    with pytest.raises(DataError, match="RNN 3"):
        encoder(stack)


def test_weights_that_need_a_gradient_get_one() -> None:
    stack = drawn("lstm", num_rnns=2)
    stack.weights["readout.bias"].requires_grad_()
    encoder = built("interactive-probing", stack, TOKENS)
    encoder.accelerated = True

    encoder(stack).sum().backward()

    assert stack.weights["readout.bias"].grad is not None
