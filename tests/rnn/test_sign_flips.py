"""The symmetries that the paper leaves out: flipped signs where tanh computes, positive scales where ReLU does."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from rnn2vec._errors import UsageError
from rnn2vec.rnn.spec import CellName, RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.rnn.symmetry import candidate_gate, flip_randomly, flip_signs, permute_neurons, scale_units

TANH_CELLS: tuple[CellName, ...] = ("lstm", "gru", "rnn_tanh")
FLIPS = torch.tensor([1.0, -1, 1, -1, -1], dtype=torch.float64)
MakeStack = Callable[..., RNNStack]
Draw = Callable[..., Tensor]
quick = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def _spec(cell: CellName, num_layers: int = 3) -> RNNSpec:
    return RNNSpec(cell=cell, input_size=4, hidden_size=5, num_layers=num_layers, output_size=3)


def _distance(one: RNNStack, other: RNNStack, inputs: Tensor) -> float:
    return (one(inputs)[0] - other(inputs)[0]).abs().max().item()


# -- unmoved ---------------------------------------------------------------------------------------


@given(
    cell=st.sampled_from(TANH_CELLS),
    num_layers=st.integers(1, 3),
    signs=st.lists(st.lists(st.sampled_from([-1.0, 1.0]), min_size=5, max_size=5), min_size=9, max_size=9),
)
@quick
def test_flipped_signs_leave_every_output_unchanged(
    make_stack: MakeStack, draw: Draw, cell: CellName, num_layers: int, signs: list[list[float]]
) -> None:
    stack = make_stack(_spec(cell, num_layers))
    weights = stack.weights
    for layer in range(num_layers):
        weights = flip_signs(stack.spec, weights, layer, torch.tensor(signs[3 * layer : 3 * layer + 3]))
    assert _distance(stack, RNNStack(stack.spec, weights), draw(3, 2, 12, 4)) < 1e-12


@given(layer=st.integers(0, 2), scales=st.lists(st.floats(0.1, 10), min_size=5, max_size=5))
@quick
def test_scaled_units_leave_a_relu_rnns_outputs_unchanged(
    make_stack: MakeStack, draw: Draw, layer: int, scales: list[float]
) -> None:
    stack = make_stack(_spec("rnn_relu"))
    factors = torch.tensor(scales, dtype=torch.float64)
    inputs = draw(3, 2, 12, 4)
    scaled = RNNStack(stack.spec, scale_units(stack.spec, stack.weights, layer, factors))

    largest = stack(inputs)[0].abs().max().item()  # a ReLU RNN's outputs have no limit
    assert _distance(stack, scaled, inputs) < 1e-12 * max(1.0, largest)
    assert math.isclose(
        scaled.weights[f"rnn.bias_ih_l{layer}"][1, 2], stack.weights[f"rnn.bias_ih_l{layer}"][1, 2] * scales[2]
    )


@pytest.mark.parametrize("cell", TANH_CELLS)
def test_the_weights_are_moved(make_stack: MakeStack, cell: CellName) -> None:
    stack = make_stack(_spec(cell))
    flipped = flip_signs(stack.spec, stack.weights, 1, FLIPS)
    changed = {name for name, weight in stack.weights.items() if not torch.equal(weight, flipped[name])}
    assert changed == {f"rnn.{part}_l1" for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")} | {
        "rnn.weight_ih_l2"
    }


# -- laws of the group -----------------------------------------------------------------------------


@pytest.mark.parametrize("cell", TANH_CELLS)
def test_flipping_twice_undoes(make_stack: MakeStack, cell: CellName) -> None:
    stack = make_stack(_spec(cell))
    once = flip_signs(stack.spec, stack.weights, 2, FLIPS)
    twice = RNNStack(stack.spec, flip_signs(stack.spec, once, 2, FLIPS))
    assert torch.equal(twice.flatten(), stack.flatten())


@given(permutation=st.permutations(range(5)), layer=st.integers(0, 2))
@quick
def test_signs_travel_with_their_units(make_stack: MakeStack, permutation: list[int], layer: int) -> None:
    """Flip, then renumber = renumber, then flip the same units under their new numbers."""
    stack, order = make_stack(_spec("lstm")), torch.tensor(permutation)
    flipped_first = permute_neurons(stack.spec, flip_signs(stack.spec, stack.weights, layer, FLIPS), layer, order)
    permuted = permute_neurons(stack.spec, stack.weights, layer, order)
    flipped_last = flip_signs(stack.spec, permuted, layer, FLIPS[order])
    assert all(torch.equal(flipped_first[name], flipped_last[name]) for name in flipped_first)


def test_each_rnn_may_have_its_own_signs(make_stack: MakeStack) -> None:
    stack = make_stack(_spec("gru"))
    signs = torch.stack([FLIPS, -FLIPS, torch.ones(5, dtype=torch.float64)])
    together = RNNStack(stack.spec, flip_signs(stack.spec, stack.weights, 0, signs))
    for number, one in enumerate(signs):
        alone = stack.select([number])
        assert torch.equal(
            together.select([number]).flatten(),
            RNNStack(stack.spec, flip_signs(stack.spec, alone.weights, 0, one)).flatten(),
        )


@pytest.mark.parametrize("cell", TANH_CELLS)
def test_random_flips_come_from_their_generator(make_stack: MakeStack, draw: Draw, cell: CellName) -> None:
    stack = make_stack(_spec(cell))
    one, same, other = (
        RNNStack(stack.spec, flip_randomly(stack.spec, stack.weights, torch.Generator().manual_seed(seed)))
        for seed in (1, 1, 2)
    )
    assert torch.equal(one.flatten(), same.flatten())
    assert not torch.equal(one.flatten(), other.flatten())
    assert _distance(stack, one, draw(3, 2, 12, 4)) < 1e-12


def test_relu_rnns_stay_as_they_are(make_stack: MakeStack, generator: torch.Generator) -> None:
    stack = make_stack(_spec("rnn_relu"))
    assert candidate_gate("rnn_relu") is None
    assert torch.equal(
        RNNStack(stack.spec, flip_randomly(stack.spec, stack.weights, generator)).flatten(), stack.flatten()
    )


# -- moved -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", TANH_CELLS)
@pytest.mark.parametrize(
    "left_out", ["rnn.weight_ih_l0", "rnn.weight_hh_l0", "rnn.bias_ih_l0", "rnn.bias_hh_l0", "rnn.weight_ih_l1"]
)
def test_one_part_left_behind_moves_the_function(
    make_stack: MakeStack, draw: Draw, cell: CellName, left_out: str
) -> None:
    stack = make_stack(_spec(cell))
    broken = {**flip_signs(stack.spec, stack.weights, 0, FLIPS), left_out: stack.weights[left_out]}
    assert _distance(stack, RNNStack(stack.spec, broken), draw(3, 2, 12, 4)) > 1e-3


@pytest.mark.parametrize("cell", TANH_CELLS)
def test_scales_would_move_a_tanh_rnn(make_stack: MakeStack, draw: Draw, cell: CellName) -> None:
    """What is refused is refused for a reason: twice the rows and half the columns is another function."""
    stack = make_stack(_spec(cell))
    weights = dict(stack.weights)
    for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        weights[f"rnn.{part}_l2"] = 2 * weights[f"rnn.{part}_l2"]
    for name in ("rnn.weight_hh_l2", "readout.weight"):
        weights[name] = weights[name] / 2
    assert _distance(stack, RNNStack(stack.spec, weights), draw(3, 2, 12, 4)) > 1e-3


# -- refused ---------------------------------------------------------------------------------------


def test_relu_signs_and_tanh_scales_are_refused(make_stack: MakeStack) -> None:
    relu, lstm = make_stack(_spec("rnn_relu")), make_stack(_spec("lstm"))
    with pytest.raises(UsageError, match=r"sign flips in an rnn_relu\n.*positive numbers \(scale_units"):
        flip_signs(relu.spec, relu.weights, 0, FLIPS)
    with pytest.raises(UsageError, match=r"scaled units in an lstm\n.*flip_signs"):
        scale_units(lstm.spec, lstm.weights, 0, FLIPS.abs())


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ([1.0, -1, 1, 0, 1], r"signs other than 1 and -1"),
        ([1.0, -1, 1, 0.5, 1], r"signs other than 1 and -1"),
        ([1.0, -1, 1, math.nan, 1], r"signs other than 1 and -1"),
        ([1.0, -1], r"\(2,\) numbers for 3 RNNs of 5 hidden units\n.*\(H,\) or for each \(N, H\)"),
    ],
)
def test_what_is_no_sign_is_refused(make_stack: MakeStack, numbers: list[float], message: str) -> None:
    stack = make_stack(_spec("gru"))
    with pytest.raises(UsageError, match=message):
        flip_signs(stack.spec, stack.weights, 0, torch.tensor(numbers))


@pytest.mark.parametrize("bad", [0.0, -1.0, math.inf, math.nan])
def test_a_scale_that_is_not_positive_is_refused(make_stack: MakeStack, bad: float) -> None:
    stack = make_stack(_spec("rnn_relu"))
    with pytest.raises(UsageError, match=r"scales that are 0 or not finite|negative scales in an rnn_relu"):
        scale_units(stack.spec, stack.weights, 0, torch.tensor([1.0, 1, bad, 1, 1]))


@pytest.mark.parametrize("layer", [-1, 3])
def test_a_layer_that_is_not_there_is_refused(make_stack: MakeStack, layer: int) -> None:
    stack = make_stack(_spec("gru"))
    with pytest.raises(UsageError, match=rf"layer {layer} of an RNN with 3 layers"):
        flip_signs(stack.spec, stack.weights, layer, FLIPS)
