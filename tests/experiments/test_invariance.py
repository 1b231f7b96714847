"""The experiment of Appendix F.2: its changes of the weights are correct, and known results are reproduced."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from rnn2vec import encoders
from rnn2vec._errors import UsageError
from rnn2vec.experiments.invariance import (
    PARTS,
    Learned,
    Movement,
    changes,
    invariance_table,
    learned_invariance,
    movements,
    outputs,
    permuted,
    representations,
)
from rnn2vec.rnn.spec import TORCH_CELLS, CellName, RNNSpec
from rnn2vec.rnn.stack import RNNStack

CELLS = TORCH_CELLS
MakeRNNs = Callable[..., RNNStack]


def _spec(cell: CellName = "lstm") -> RNNSpec:
    return RNNSpec(cell=cell, input_size=4, hidden_size=6, num_layers=2, output_size=3)


def _inputs(number: int = 4) -> torch.Tensor:
    return torch.randn(number, 2, 8, 4, generator=torch.Generator().manual_seed(1))


# -- the changes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
def test_the_rnns_are_moved_by_every_incomplete_change_and_by_no_other(random_rnns: MakeRNNs, cell: CellName) -> None:
    table = movements(outputs(_inputs()), random_rnns(_spec(cell), 4))
    unmoved = {"complete"} if cell == "rnn_relu" else {"complete", "signs"}
    assert set(table) == unmoved | {f"without {part}" for part in PARTS}
    assert {name for name, movement in table.items() if movement.is_unmoved} == unmoved
    assert all(movement.low > 1e-4 for name, movement in table.items() if name not in unmoved)


@pytest.mark.parametrize("part", PARTS)
def test_only_the_part_left_out_is_not_permuted(random_rnns: MakeRNNs, part: str) -> None:
    """Compare with the complete permutation, which differs in this part only."""
    spec = RNNSpec(cell="gru", input_size=4, hidden_size=6, num_layers=1, output_size=3)
    stack = random_rnns(spec, 3)
    whole, broken = (permuted(stack, torch.Generator().manual_seed(5), left_out=left_out) for left_out in (None, part))
    different = {name for name in whole.weights if not torch.equal(whole.weights[name], broken.weights[name])}
    at = {
        "input rows": "rnn.weight_ih_l0",
        "recurrent rows": "rnn.weight_hh_l0",
        "input bias": "rnn.bias_ih_l0",
        "recurrent bias": "rnn.bias_hh_l0",
        "recurrent columns": "rnn.weight_hh_l0",
        "reader columns": "readout.weight",
    }[part]
    assert different == {at}
    before, after = stack.weights[at].double(), broken.weights[at].double()
    if "weight_hh" not in at:
        assert torch.equal(before, after)
    else:  # rows or columns still have the same sums
        axis = 2 if part == "recurrent rows" else 1
        torch.testing.assert_close(before.sum(dim=axis), after.sum(dim=axis))


def test_the_same_units_go_to_the_same_places_in_every_change(random_rnns: MakeRNNs) -> None:
    spec, stack = _spec(), random_rnns(_spec(), 3)
    made = {name: change(stack) for name, change in changes(spec, seed=2).items()}
    for part in ("input rows", "reader columns"):
        same = made["complete"].weights["rnn.bias_hh_l1"]
        assert torch.equal(made[f"without {part}"].weights["rnn.bias_hh_l1"], same)


def test_an_unknown_part_is_refused(random_rnns: MakeRNNs) -> None:
    with pytest.raises(UsageError, match=r"left_out='gates'\n.*input rows, recurrent rows"):
        permuted(random_rnns(_spec(), 2), torch.Generator(), left_out="gates")


# -- known answers ---------------------------------------------------------------------------------


def test_statistics_notice_nothing_but_signs(random_rnns: MakeRNNs) -> None:
    encoder = encoders.build("layerwise-statistics", _spec())
    table = movements(representations(encoder), random_rnns(_spec(), 4))
    assert {name for name, movement in table.items() if not movement.is_unmoved} == {"signs"}


def test_a_table_has_the_rnns_and_each_encoder(random_rnns: MakeRNNs) -> None:
    models = {name: encoders.build(name, _spec()) for name in ("dwsnet-complete", "flattened-weights")}
    before = {name: parameter.dtype for name, parameter in models["dwsnet-complete"].named_parameters()}
    table = invariance_table(models, random_rnns(_spec(), 4), _inputs())

    assert list(table) == ["RNN", "dwsnet-complete", "flattened-weights"]
    assert table["dwsnet-complete"]["complete"].is_unmoved
    assert table["dwsnet-complete"]["signs"].is_unmoved
    assert table["flattened-weights"]["complete"].median > 0.3
    assert {name: parameter.dtype for name, parameter in models["dwsnet-complete"].named_parameters()} == before


def test_a_measure_that_is_constant_is_unmoved(random_rnns: MakeRNNs) -> None:
    table = movements(representations(encoders.build("task-blind", _spec())), random_rnns(_spec(), 4))
    assert all(movement.largest == 0 for movement in table.values())


def test_the_seed_decides(random_rnns: MakeRNNs) -> None:
    stack = random_rnns(_spec(), 4)
    one, same, other = (movements(outputs(_inputs()), stack, seed=seed) for seed in (0, 0, 1))
    assert one == same != other


def test_a_single_rnn_is_refused(random_rnns: MakeRNNs) -> None:
    with pytest.raises(UsageError, match=r"1 RNN to compare with others\n.*at least 2"):
        movements(outputs(_inputs(1)), random_rnns(_spec(), 1))


def _movement(median: float, largest: float | None = None) -> Movement:
    return Movement(median, median, median, median if largest is None else largest)


def test_training_is_compared_for_function_preserving_changes_only() -> None:
    still, moved = _movement(1e-16), _movement(0.8)
    before = {
        "RNN": {"complete": still, "without input bias": moved, "signs": still},
        "moved": {"complete": moved, "without input bias": moved, "signs": still},
        "not trained": {"complete": moved, "signs": moved},
        "relu": {"complete": _movement(0.5), "without input bias": moved},
    }
    after = {
        "RNN": before["RNN"],
        "moved": {"complete": _movement(0.2), "without input bias": moved, "signs": still},
        "relu": {"complete": _movement(0.6), "without input bias": moved},
    }
    learned = learned_invariance(before, after)
    assert learned == {"moved": {"complete": Learned(0.8, 0.2)}, "relu": {"complete": Learned(0.5, 0.6)}}
    assert learned["moved"]["complete"].ratio == 0.25
