"""Collections: batches by architecture, and everything back in its place."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from rnn2vec._errors import UsageError
from rnn2vec.rnn.blackbox import StackBlackBox
from rnn2vec.rnn.collection import RNNCollection, RNNs, count_rnns
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack

MakeStack = Callable[..., RNNStack]
SPECS = [
    RNNSpec(cell="gru", input_size=2, hidden_size=size, num_layers=1, output_size=2) for size in (1, 2, 3)
]  # parameters differ in number


def _first_weight(rnns: RNNs) -> Tensor:
    assert isinstance(rnns, RNNStack)
    return rnns.weights["rnn.weight_ih_l0"][:, 0, :1]


@given(members=st.lists(st.tuples(st.sampled_from(SPECS), st.integers(0, 3)), min_size=1, max_size=6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_row_comes_back_to_its_place(make_stack: MakeStack, members: list[tuple[RNNSpec, int]]) -> None:
    stacks = [make_stack(spec, number) for spec, number in members]
    collection = RNNCollection(stacks)
    assert len(collection) == sum(number for _, number in members)
    assert len(collection.batches) == len({spec for spec, _ in members})
    assert torch.equal(collection.map(_first_weight), torch.cat([_first_weight(stack) for stack in stacks]))


def test_a_black_box_is_a_batch_by_itself(make_stack: MakeStack) -> None:
    stack = make_stack(SPECS[1], 2)
    box = StackBlackBox(stack, input_kind="continuous", output_kind="continuous")
    collection = RNNCollection([box, stack, box])
    assert [count_rnns(batch) for batch in collection.batches] == [2, 2, 2]
    assert repr(collection) == "RNNCollection(6 RNNs in 3 batches)"


def test_nothing_is_no_collection() -> None:
    with pytest.raises(UsageError, match=r"no RNN was given\n.*at least one"):
        RNNCollection([])
