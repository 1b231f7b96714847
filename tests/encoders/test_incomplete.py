"""Every encoder, every cell, each of the six parts that must move together left behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest
import torch

from rnn2vec.analysis.invariance import PARTS, renumbered
from rnn2vec.encoders import ENCODERS
from rnn2vec.encoders.base import WeightEncoder
from rnn2vec.rnn.spec import CellName, RNNSpec
from rnn2vec.rnn.stack import RNNStack

INVARIANT = {"layerwise-statistics", "dwsnet", "dwsnet-complete", "noninteractive-probing", "interactive-probing"}


@pytest.mark.parametrize("name", [name for name in ENCODERS if name != "task-blind"])
@pytest.mark.parametrize("cell", get_args(CellName))
@torch.no_grad()
def test_only_a_complete_renumbering_goes_unnoticed(
    small_encoder: Callable[..., WeightEncoder], random_rnns: Callable[..., RNNStack], name: str, cell: CellName
) -> None:
    spec = RNNSpec(cell=cell, input_size=4, hidden_size=6, num_layers=2, output_size=4)
    encoder, stack = small_encoder(name, spec).double(), random_rnns(spec, 2, torch.float64)
    moved: dict[str | None, float] = {}
    for part in (None, *PARTS):
        changed = renumbered(stack, torch.Generator().manual_seed(1), left_out=part)
        moved[part] = (encoder(changed) - encoder(stack)).abs().max().item()
    unnoticed = {part for part, distance in moved.items() if distance < 1e-10}
    expected = {None, *PARTS} if name == "layerwise-statistics" else {None} if name in INVARIANT else set()
    assert unnoticed == expected
