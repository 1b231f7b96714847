"""Permuted hidden units: every encoder, every cell, and each of the six parts left out of the permutation."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from rnn2vec.encoders import ENCODERS
from rnn2vec.encoders.base import WeightEncoder
from rnn2vec.encoders.probing import ProbingEncoder
from rnn2vec.encoders.random_probing import RandomProbing
from rnn2vec.experiments.invariance import PARTS, permuted
from rnn2vec.rnn.spec import TORCH_CELLS, CellName, RNNSpec
from rnn2vec.rnn.stack import RNNStack

INVARIANT = {"layerwise-statistics", "dwsnet", "dwsnet-complete", "noninteractive-probing", "interactive-probing"}
UNMOVED = 1e-10


def _distance(one: Tensor, other: Tensor) -> float:
    return (one - other).abs().max().item()


@pytest.mark.parametrize("name", [name for name in ENCODERS if name != "task-blind"])
@given(
    cell=st.sampled_from(TORCH_CELLS),
    num_layers=st.integers(1, 3),
    size=st.integers(2, 7),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@torch.no_grad()
def test_only_a_complete_renumbering_goes_unnoticed(
    small_encoder: Callable[..., WeightEncoder],
    random_rnns: Callable[..., RNNStack],
    name: str,
    cell: CellName,
    num_layers: int,
    size: int,
    seed: int,
) -> None:
    spec = RNNSpec(cell=cell, input_size=4, hidden_size=size, num_layers=num_layers, output_size=4)
    encoder, stack = small_encoder(name, spec).double(), random_rnns(spec, 2, torch.float64)

    def change(left_out: str | None) -> RNNStack:
        return permuted(stack, torch.Generator().manual_seed(seed), left_out=left_out)

    assume(not torch.equal(change(None).flatten(), stack.flatten()))  # two units may well stay where they are
    unnoticed = {part for part in (None, *PARTS) if _distance(encoder(change(part)), encoder(stack)) < UNMOVED}
    if isinstance(encoder, ProbingEncoder):
        assert unnoticed == _leave_the_answers(stack, change, encoder.probing_transcript(stack).probes)
    elif isinstance(encoder, RandomProbing):
        assert unnoticed == _leave_the_answers(stack, change, encoder.probes.expand(len(stack), -1, -1, -1))
    elif name == "layerwise-statistics":
        assert unnoticed == {None, *PARTS}
    else:
        assert unnoticed == ({None} if name in INVARIANT else set())


def _leave_the_answers(stack: RNNStack, change: Callable[[str | None], RNNStack], probes: Tensor) -> set[str | None]:
    """The changes that leave what RNNs answer to probes as it is: the complete one alone.

    Except in ReLU RNNs, in which units may be silent: then there is nothing for who interrogates to notice.
    """
    answers = stack(probes)[0]
    left = {part for part in (None, *PARTS) if _distance(change(part)(probes)[0], answers) < UNMOVED}
    assert left == {None} or (stack.spec.cell == "rnn_relu" and None in left)
    return left
