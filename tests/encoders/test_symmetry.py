"""Permuted hidden units: invariance of each encoder to complete and incomplete permutations."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rnn2vec.encoders.base import WeightEncoder
from rnn2vec.rnn.spec import TORCH_CELLS, CellName, RNNSpec
from rnn2vec.rnn.stack import RNNStack

HIDDEN = 5
INVARIANT = ["layerwise-statistics", "noninteractive-probing", "interactive-probing"]
SWAP = torch.tensor([2, 0, 1, 4, 3])
MakeEncoder = Callable[..., WeightEncoder]
MakeRNNs = Callable[..., RNNStack]


def _spec(cell: CellName, num_layers: int) -> RNNSpec:
    return RNNSpec(cell=cell, input_size=4, hidden_size=HIDDEN, num_layers=num_layers, output_size=4)


def _moved(encoder: WeightEncoder, one: RNNStack, other: RNNStack) -> float:
    return (encoder(one) - encoder(other)).abs().max().item()


@pytest.mark.parametrize("name", INVARIANT)
@given(
    cell=st.sampled_from(TORCH_CELLS),
    num_layers=st.integers(1, 3),
    permutations=st.lists(st.permutations(range(HIDDEN)), min_size=6, max_size=6),
)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_unmoved_by_a_complete_permutation(
    small_encoder: MakeEncoder,
    random_rnns: MakeRNNs,
    name: str,
    cell: CellName,
    num_layers: int,
    permutations: list[list[int]],
) -> None:
    spec = _spec(cell, num_layers)
    encoder, stack = small_encoder(name, spec).double(), random_rnns(spec, 2, torch.float64)
    permuted = stack
    for layer in range(num_layers):
        permuted = permuted.permute_neurons(layer, torch.tensor(permutations[2 * layer : 2 * layer + 2]))

    assert _moved(encoder, stack, permuted) < 1e-10


@pytest.mark.parametrize("cell", TORCH_CELLS)
@pytest.mark.parametrize("layer", [0, 1])
def test_flattened_weights_are_moved(
    small_encoder: MakeEncoder, random_rnns: MakeRNNs, cell: CellName, layer: int
) -> None:
    spec = _spec(cell, 2)
    encoder, stack = small_encoder("flattened-weights", spec).double(), random_rnns(spec, 2, torch.float64)
    assert _moved(encoder, stack, stack.permute_neurons(layer, SWAP)) > 1e-3


@pytest.mark.parametrize("name", ["flattened-weights", "noninteractive-probing", "interactive-probing"])
@pytest.mark.parametrize("cell", TORCH_CELLS)
@pytest.mark.parametrize("left_out", ["rnn.weight_ih_l0", "rnn.bias_ih_l0", "rnn.weight_ih_l1"])
def test_moved_when_one_part_stays_behind(
    small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str, cell: CellName, left_out: str
) -> None:
    spec = _spec(cell, 2)
    encoder, stack = small_encoder(name, spec).double(), random_rnns(spec, 2, torch.float64)
    weights = {**stack.permute_neurons(0, SWAP).weights, left_out: stack.weights[left_out]}
    assert _moved(encoder, stack, RNNStack(spec, weights)) > 1e-7


def test_statistics_do_not_notice_an_incomplete_one(small_encoder: MakeEncoder, random_rnns: MakeRNNs) -> None:
    """Check that statistics are invariant even to changes of the function, the price of their simplicity."""
    spec = _spec("lstm", 2)
    encoder, stack = small_encoder("layerwise-statistics", spec).double(), random_rnns(spec, 2, torch.float64)
    weights = {**stack.permute_neurons(0, SWAP).weights, "rnn.weight_ih_l1": stack.weights["rnn.weight_ih_l1"]}
    broken = RNNStack(spec, weights)

    assert _moved(encoder, stack, broken) < 1e-10
    inputs = torch.eye(4, dtype=torch.float64).expand(2, 1, 4, 4)
    assert (stack(inputs)[0] - broken(inputs)[0]).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["noninteractive-probing", "interactive-probing"])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn_tanh"])
def test_probing_is_unmoved_by_flipped_signs_too(
    small_encoder: MakeEncoder, random_rnns: MakeRNNs, name: str, cell: CellName
) -> None:
    """tanh is odd: negate a unit's candidate rows and every column that reads it, and the function is the same."""
    spec = _spec(cell, 1)
    encoder, stack = small_encoder(name, spec).double(), random_rnns(spec, 2, torch.float64)
    sign = torch.tensor([1.0, -1, 1, -1, -1], dtype=torch.float64)
    candidate = {"lstm": 2, "gru": 2, "rnn_tanh": 0}[cell]  # which gate: LSTM i, f, g, o; GRU r, z, n
    rows = torch.ones(spec.num_gates * HIDDEN, dtype=torch.float64)
    rows[candidate * HIDDEN : (candidate + 1) * HIDDEN] = sign
    weights = {
        "rnn.weight_ih_l0": stack.weights["rnn.weight_ih_l0"] * rows[:, None],
        "rnn.weight_hh_l0": stack.weights["rnn.weight_hh_l0"] * rows[:, None] * sign,
        "rnn.bias_ih_l0": stack.weights["rnn.bias_ih_l0"] * rows,
        "rnn.bias_hh_l0": stack.weights["rnn.bias_hh_l0"] * rows,
        "readout.weight": stack.weights["readout.weight"] * sign,
        "readout.bias": stack.weights["readout.bias"],
    }
    flipped = RNNStack(spec, weights)

    assert not torch.equal(flipped.flatten(), stack.flatten())
    assert _moved(encoder, stack, flipped) < 1e-10
