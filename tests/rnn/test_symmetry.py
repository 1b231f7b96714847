"""Renumbering hidden units: the function is unmoved when six parts move together, and moved when one stays behind."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from rnn2vec._errors import UsageError
from rnn2vec.rnn.spec import TORCH_CELLS, CellName, RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.rnn.symmetry import permute_randomly

CELLS = TORCH_CELLS
PARTS = ["input rows", "recurrent rows", "input bias", "recurrent bias", "recurrent columns", "reader columns"]
MakeStack = Callable[..., RNNStack]
Draw = Callable[..., Tensor]


def _spec(cell: CellName) -> RNNSpec:
    return RNNSpec(cell=cell, input_size=4, hidden_size=5, num_layers=3, output_size=3)


def _permuted_part_by_part(stack: RNNStack, layer: int, permutation: Tensor, left_out: str | None = None) -> RNNStack:
    """The slow and obvious version: gate by gate, part by part, any one of which can be left out."""
    weights = {name: weight.clone() for name, weight in stack.weights.items()}
    units = stack.spec.hidden_size
    reader = f"rnn.weight_ih_l{layer + 1}" if layer + 1 < stack.spec.num_layers else "readout.weight"
    rows = {
        "input rows": f"rnn.weight_ih_l{layer}",
        "recurrent rows": f"rnn.weight_hh_l{layer}",
        "input bias": f"rnn.bias_ih_l{layer}",
        "recurrent bias": f"rnn.bias_hh_l{layer}",
    }
    columns = {"recurrent columns": f"rnn.weight_hh_l{layer}", "reader columns": reader}
    for part in PARTS:
        if part == left_out:
            continue
        if part in columns:
            weights[columns[part]] = weights[columns[part]][:, :, permutation]
            continue
        gates = weights[rows[part]].split(units, dim=1)
        weights[rows[part]] = torch.cat([gate[:, permutation] for gate in gates], dim=1)
    return RNNStack(stack.spec, weights)


def _distance(one: RNNStack, other: RNNStack, inputs: Tensor) -> float:
    return (one(inputs)[0] - other(inputs)[0]).abs().max().item()


# -- unmoved ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_a_permutation_moves_the_weights_and_not_the_function(
    make_stack: MakeStack, draw: Draw, cell: CellName, layer: int
) -> None:
    stack = make_stack(_spec(cell))
    permutation = torch.tensor([2, 0, 1, 4, 3])
    permuted = stack.permute_neurons(layer, permutation)

    assert torch.equal(permuted.flatten(), _permuted_part_by_part(stack, layer, permutation).flatten())
    assert not torch.equal(permuted.flatten(), stack.flatten())
    assert _distance(stack, permuted, draw(3, 2, 8, 4)) < 1e-12


@pytest.mark.parametrize("cell", CELLS)
def test_each_rnn_may_have_its_own_permutation(make_stack: MakeStack, draw: Draw, cell: CellName) -> None:
    stack = make_stack(_spec(cell))
    permutations = torch.tensor([[2, 0, 1, 4, 3], [0, 1, 2, 3, 4], [4, 3, 2, 1, 0]])
    permuted = stack.permute_neurons(1, permutations)

    one_by_one = [stack.select([n]).permute_neurons(1, permutation) for n, permutation in enumerate(permutations)]
    assert torch.equal(permuted.flatten(), torch.cat([one.flatten() for one in one_by_one]))
    assert torch.equal(permuted.flatten()[1], stack.flatten()[1])
    assert _distance(stack, permuted, draw(3, 2, 8, 4)) < 1e-12


@pytest.mark.parametrize("cell", CELLS)
def test_random_permutations_of_all_layers_leave_the_function(
    make_stack: MakeStack, draw: Draw, generator: torch.Generator, cell: CellName
) -> None:
    stack = make_stack(_spec(cell), 8)
    permuted = RNNStack(stack.spec, permute_randomly(stack.spec, stack.weights, generator))

    assert _distance(stack, permuted, draw(8, 2, 8, 4)) < 1e-12
    for layer in range(3):
        old, new = stack.weights[f"rnn.bias_ih_l{layer}"], permuted.weights[f"rnn.bias_ih_l{layer}"]
        assert len({tuple((one == other).tolist()) for one, other in zip(old, new, strict=True)}) > 1
        assert not torch.equal(old, new)


def test_random_permutations_come_from_their_generator(make_stack: MakeStack) -> None:
    stack = make_stack(_spec("gru"))
    flat = [
        RNNStack(stack.spec, permute_randomly(stack.spec, stack.weights, torch.Generator().manual_seed(seed))).flatten()
        for seed in (1, 1, 2)
    ]
    assert torch.equal(flat[0], flat[1])
    assert not torch.equal(flat[0], flat[2])


# -- laws of the group -----------------------------------------------------------------------------


@given(one=st.permutations(range(5)), other=st.permutations(range(5)), layer=st.integers(0, 2))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_permutations_compose_and_undo(make_stack: MakeStack, one: list[int], other: list[int], layer: int) -> None:
    stack = make_stack(_spec("lstm"))
    first, second = torch.tensor(one), torch.tensor(other)

    in_turn = stack.permute_neurons(layer, first).permute_neurons(layer, second)
    assert torch.equal(in_turn.flatten(), stack.permute_neurons(layer, first[second]).flatten())
    undone = stack.permute_neurons(layer, first).permute_neurons(layer, first.argsort())
    assert torch.equal(undone.flatten(), stack.flatten())


def test_permutations_of_different_layers_commute(make_stack: MakeStack) -> None:
    stack, permutation = make_stack(_spec("gru")), torch.tensor([2, 0, 1, 4, 3])
    up = stack.permute_neurons(0, permutation).permute_neurons(1, permutation.flip(0))
    down = stack.permute_neurons(1, permutation.flip(0)).permute_neurons(0, permutation)
    assert torch.equal(up.flatten(), down.flatten())


def test_gradients_pass_and_the_original_stays(make_stack: MakeStack) -> None:
    flat = make_stack(_spec("gru")).flatten().requires_grad_()
    before = flat.detach().clone()
    stack = RNNStack.from_flat(_spec("gru"), flat)
    stack.permute_neurons(0, torch.tensor([2, 0, 1, 4, 3])).flatten().sum().backward()

    assert torch.equal(flat.detach(), before)
    assert torch.equal(flat.grad, torch.ones_like(flat))


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_any_integer_type_will_do(make_stack: MakeStack, dtype: torch.dtype) -> None:
    stack, permutation = make_stack(_spec("gru")), torch.tensor([2, 0, 1, 4, 3])
    permuted = stack.permute_neurons(0, permutation.to(dtype))
    assert torch.equal(permuted.flatten(), stack.permute_neurons(0, permutation).flatten())


# -- moved -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("left_out", PARTS)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_one_part_left_behind_moves_the_function(
    make_stack: MakeStack, draw: Draw, cell: CellName, layer: int, left_out: str
) -> None:
    stack = make_stack(_spec(cell))
    broken = _permuted_part_by_part(stack, layer, torch.tensor([2, 0, 1, 4, 3]), left_out)
    assert _distance(stack, broken, draw(3, 2, 8, 4)) > 1e-3


# -- refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [-1, 3])
def test_a_layer_that_is_not_there_is_refused(make_stack: MakeStack, layer: int) -> None:
    with pytest.raises(UsageError, match=rf"layer {layer} of an RNN with 3 layers\n.*count layers from 0"):
        make_stack(_spec("gru")).permute_neurons(layer, torch.arange(5))


@pytest.mark.parametrize(
    "numbers",
    [[0, 1, 2, 3], [0, 1, 2, 3, 4, 5], [0, 0, 1, 2, 3], [1, 2, 3, 4, 5], [-1, 0, 1, 2, 3], [[0, 1, 2, 3, 4]] * 2],
    ids=["short", "long", "twice", "from 1", "negative", "two for three RNNs"],
)
def test_what_is_not_a_permutation_is_refused(make_stack: MakeStack, numbers: list[int] | list[list[int]]) -> None:
    permutation = torch.tensor(numbers)
    with pytest.raises(UsageError, match=r"not a permutation of 5 hidden units(.|\n)*0\.\.4 once") as caught:
        make_stack(_spec("gru")).permute_neurons(0, permutation)
    assert str(tuple(permutation.shape)) in caught.value.problem
