"""RNNs decoded from representations answer as the emulator does."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rnn2vec.emulation.config import Conditioning
from rnn2vec.emulation.decoding import decode, interpolate
from rnn2vec.emulation.emulator import Emulator


def _emulator(conditioning: Conditioning, num_layers: int = 2) -> Emulator:
    generator = torch.Generator().manual_seed(3)
    emulator = Emulator(5, 4, representation_size=6, hidden_size=9, num_layers=num_layers, conditioning=conditioning)
    with torch.no_grad():
        for parameter in emulator.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
    return emulator


@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("conditioning", ["first-step", "every-step"])
@given(seed=st.integers(0, 10**6), count=st.integers(1, 4), steps=st.integers(1, 30))
@settings(max_examples=10)
@torch.no_grad()
def test_decoded_rnns_answer_as_the_emulator(
    conditioning: Conditioning, num_layers: int, seed: int, count: int, steps: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    emulator = _emulator(conditioning, num_layers)
    representations = torch.randn(count, 6, generator=generator)
    inputs = torch.randn(count, 3, steps, 5, generator=generator)
    decoded = decode(emulator, representations)
    assert len(decoded) == count
    assert decoded.spec.hidden_size == 9 + (conditioning == "first-step")
    torch.testing.assert_close(decoded(inputs)[0], emulator(representations, inputs), atol=1e-5, rtol=1e-5)


def test_decoded_rnns_are_modules_too() -> None:
    emulator = _emulator("first-step")
    (module,) = decode(emulator, torch.ones(1, 6)).to_modules()
    inputs = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(0))
    outputs, _ = module(inputs)
    torch.testing.assert_close(outputs, emulator(torch.ones(1, 6), inputs[None])[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("conditioning", ["first-step", "every-step"])
def test_gradients_reach_the_representation(conditioning: Conditioning) -> None:
    emulator = _emulator(conditioning)
    inputs = torch.randn(1, 2, 6, 5, generator=torch.Generator().manual_seed(1))
    gradients = []
    for answer in (lambda z: decode(emulator, z)(inputs)[0], lambda z: emulator(z, inputs)):
        representation = torch.full((1, 6), 0.3, requires_grad=True)
        answer(representation).square().sum().backward()
        gradients.append(representation.grad)
    torch.testing.assert_close(*gradients, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("on_sphere", [True, False])
@given(seed=st.integers(0, 10**6), steps=st.integers(2, 9))
@settings(max_examples=20)
def test_an_interpolation_begins_and_ends_where_it_is_asked_to(on_sphere: bool, seed: int, steps: int) -> None:
    start, end = torch.nn.functional.normalize(
        torch.randn(2, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), dim=1
    )
    path = interpolate(start, end, steps, on_sphere=on_sphere)
    assert path.shape == (steps, 8)
    torch.testing.assert_close(path[0], start)
    torch.testing.assert_close(path[-1], end)
    lengths = (path[1:] - path[:-1]).norm(dim=1)
    torch.testing.assert_close(lengths, lengths.mean().expand_as(lengths))  # equal steps
    if on_sphere:
        torch.testing.assert_close(path.norm(dim=1), torch.ones(steps, dtype=torch.float64))
