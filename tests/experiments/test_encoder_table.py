"""Table 1, measured: growth of the encoders, and the two constructions that test universality."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from rnn2vec import encoders
from rnn2vec._errors import UsageError
from rnn2vec.encoders.base import count_parameters
from rnn2vec.encoders.statistics import layer_statistics
from rnn2vec.experiments.encoder_table import Growth, encoder_table, growth, same_behaviour, same_statistics
from rnn2vec.rnn.interface import Interface
from rnn2vec.rnn.spec import TORCH_CELLS, CellName, RNNSpec
from rnn2vec.rnn.stack import RNNStack

SPEC = RNNSpec(cell="lstm", input_size=6, hidden_size=32, num_layers=2, output_size=6)
SMALL = RNNSpec(cell="lstm", input_size=4, hidden_size=6, num_layers=2, output_size=3)
MakeRNNs = Callable[..., RNNStack]


def _inputs() -> torch.Tensor:
    return torch.randn(4, 2, 8, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize(
    ("name", "exponent"),
    [
        ("layerwise-statistics", 0),
        ("flattened-weights", 2),
        ("parameter-transformer", 1),
        ("dwsnet", 0),
        ("dwsnet-complete", 0),
        ("noninteractive-probing", 0),
        ("interactive-probing", 0),
    ],
)
def test_encoders_grow_as_the_papers_table_says(name: str, exponent: int) -> None:
    grown = growth(name, SPEC, Interface())
    assert abs(grown.exponent - exponent) < 0.06
    assert grown.parameters[2] == count_parameters(encoders.build(name, SPEC))


@pytest.mark.parametrize("exponent", [0.5, 1.0, 3.0])
def test_the_exponent_of_a_power_is_found_behind_any_constant(exponent: float) -> None:
    sizes = (8, 16, 32, 64)
    grown = Growth(sizes, tuple(round(10**6 + 10**5 * size**exponent) for size in sizes))
    assert math.isclose(grown.exponent, exponent, abs_tol=1e-3)


@pytest.mark.parametrize("sizes", [(8, 16), (8, 16, 24), (16, 8, 4), (8, 8, 8)])
def test_sizes_that_give_no_exponent_are_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"hidden sizes .*\n.*such as 8, 16, 32"):
        growth("dwsnet", SPEC, Interface(), sizes)


def test_same_statistics_and_another_behaviour(random_rnns: MakeRNNs) -> None:
    stack = random_rnns(SMALL, 4, torch.float64)
    other = same_statistics(stack, torch.Generator().manual_seed(3))
    torch.testing.assert_close(layer_statistics(other), layer_statistics(stack), rtol=0, atol=1e-12)
    assert (stack(_inputs())[0] - other(_inputs())[0]).flatten(1).norm(dim=1).min() > 0.1


@pytest.mark.parametrize("cell", TORCH_CELLS)
def test_same_behaviour_and_other_weights(random_rnns: MakeRNNs, cell: CellName) -> None:
    spec = RNNSpec(cell=cell, input_size=4, hidden_size=6, num_layers=3, output_size=3)
    one, other = same_behaviour(random_rnns(spec, 4, torch.float64), torch.Generator().manual_seed(3))
    assert torch.equal(one(_inputs())[0], other(_inputs())[0])
    assert (one.flatten() - other.flatten()).norm(dim=1).min() > 0.1
    for layer in range(3):  # the difference is not a permutation: the sorted biases differ
        name = f"rnn.bias_ih_l{layer}"
        assert not torch.allclose(one.weights[name].sort(dim=1).values, other.weights[name].sort(dim=1).values)


def test_each_encoder_distinguishes_the_constructions_that_it_should(random_rnns: MakeRNNs) -> None:
    models = {name: encoders.build(name, SMALL) for name in encoders.ENCODERS if name != "task-blind"}
    rows = encoder_table(models, random_rnns(SMALL, 4), _inputs())
    blind_to_behaviour = {name for name, row in rows.items() if row.same_statistics < 1e-10}
    blind_to_weights = {name for name, row in rows.items() if row.same_behaviour < 1e-10}
    unmoved = {name for name, row in rows.items() if row.permuted.is_unmoved}

    assert blind_to_behaviour == {"layerwise-statistics"}
    assert blind_to_weights == {"RNN", "noninteractive-probing", "interactive-probing", "random-probing"}
    assert set(rows) - unmoved == {"flattened-weights", "parameter-transformer"}
    assert rows["RNN"].growth is None
    assert rows["RNN"].to_dict()["exponent"] is None
    assert rows["dwsnet"].to_dict()["exponent"] == 0
