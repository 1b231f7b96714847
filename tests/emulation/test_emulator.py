"""The emulator: whole sequences and single steps agree, and the representation enters where it should."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rnn2vec.emulation.config import Conditioning
from rnn2vec.emulation.emulator import Emulation, Emulator
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.zoo.rollouts import Stepper

SPEC = RNNSpec(cell="gru", input_size=4, hidden_size=9, num_layers=1, output_size=3)
BOTH: list[Conditioning] = ["first-step", "every-step"]


def _emulator(conditioning: Conditioning = "first-step", seed: int = 0) -> Emulator:
    return Emulator.build(SPEC, representation_size=5, seed=seed, hidden_size=7, conditioning=conditioning).double()


def _draws(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _stepwise(emulator: Emulator, representations: Tensor, inputs: Tensor) -> Tensor:
    emulation = Emulation(emulator, representations)
    assert isinstance(emulation, Stepper)
    state, outputs = emulation.initial_state(inputs.shape[1]), []
    for step in inputs.unbind(2):
        output, state = emulation.step(step, state)
        outputs.append(output)
    return torch.stack(outputs, dim=2)


@pytest.mark.parametrize("conditioning", BOTH)
def test_stepping_gives_what_the_whole_sequence_gives(conditioning: Conditioning) -> None:
    emulator, representations, inputs = _emulator(conditioning), _draws(2, 5), _draws(2, 3, 6, 4)
    whole = emulator(representations, inputs)
    assert whole.shape == (2, 3, 6, 3)
    torch.testing.assert_close(_stepwise(emulator, representations, inputs), whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("conditioning", BOTH)
def test_each_rnn_is_emulated_by_its_own_representation(conditioning: Conditioning) -> None:
    emulator, representations, inputs = _emulator(conditioning), _draws(2, 5), _draws(2, 3, 6, 4)
    alone = torch.cat([emulator(representations[[n]], inputs[[n]]) for n in range(2)])
    torch.testing.assert_close(emulator(representations, inputs), alone, rtol=0, atol=1e-12)

    other = torch.stack([representations[0], _draws(5, seed=2)])
    changed = (emulator(other, inputs) - emulator(representations, inputs)).abs().amax(dim=(1, 2, 3))
    assert changed[0] == 0
    assert changed[1] > 1e-6


@pytest.mark.parametrize("conditioning", BOTH)
def test_the_representation_is_added_to_the_input_that_it_should_be_added_to(conditioning: Conditioning) -> None:
    """The slow and obvious version: project, add, run the LSTM."""
    emulator, representations, inputs = _emulator(conditioning), _draws(2, 5), _draws(2, 3, 6, 4)
    read = emulator.read_input(inputs)
    for n in range(2):
        for t in range(6 if conditioning == "every-step" else 1):
            read[n, :, t] += emulator.read_representation(representations[n])
    for n in range(2):
        expected = emulator.readout(emulator.lstm(read[n])[0])
        torch.testing.assert_close(emulator(representations, inputs)[n], expected, rtol=0, atol=1e-12)


def test_the_two_ways_differ_from_the_second_step_on() -> None:
    representations, inputs = _draws(2, 5), _draws(2, 3, 6, 4)
    first, every = (_emulator(way)(representations, inputs) for way in BOTH)
    torch.testing.assert_close(first[:, :, 0], every[:, :, 0])
    assert ((first - every)[:, :, 1:].abs().amax(dim=-1) > 1e-9).all()


@pytest.mark.parametrize("conditioning", BOTH)
def test_gradients_reach_everything_and_the_representation(conditioning: Conditioning) -> None:
    emulator, representations = _emulator(conditioning), _draws(2, 5).requires_grad_()
    emulator(representations, _draws(2, 3, 6, 4)).square().sum().backward()
    for parameter in (*emulator.parameters(), representations):
        assert parameter.grad is not None
        assert parameter.grad.any()


def test_the_seed_decides_the_weights() -> None:
    before = torch.get_rng_state()
    one, same, other = (_emulator(seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)
    assert torch.equal(torch.get_rng_state(), before)


def test_forget_gates_start_open() -> None:
    plain = Emulator.build(SPEC, representation_size=5, seed=0, hidden_size=7, forget_bias=0.0)
    opened = Emulator.build(SPEC, representation_size=5, seed=0, hidden_size=7)
    for layer in range(2):
        raised = getattr(opened.lstm, f"bias_hh_l{layer}") - getattr(plain.lstm, f"bias_hh_l{layer}")
        torch.testing.assert_close(raised, torch.tensor([0.0, 1.0, 0.0, 0.0]).repeat_interleave(7))
