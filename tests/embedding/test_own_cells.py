"""RNNs of the cells that `torch.nn` lacks, from training to vectors."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rnn2vec import encoders
from rnn2vec._errors import UsageError
from rnn2vec._registry import ENCODERS
from rnn2vec.embedding.rnn2vec import Rnn2Vec
from rnn2vec.emulation.config import PretrainConfig
from rnn2vec.emulation.pretrain import pretrain
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.zoo.build import build_zoo
from rnn2vec.zoo.config import ZooConfig
from rnn2vec.zoo.verify import verify

CELLS = ("leaky", "leaky_shared", "mingru")
READS = {
    "leaky": {"layerwise-statistics", "flattened-weights"},
    "leaky_shared": {"layerwise-statistics", "flattened-weights"},
    "mingru": {"layerwise-statistics", "flattened-weights", "parameter-transformer"},
}
PROBING = {"noninteractive-probing", "interactive-probing", "random-probing", "task-blind"}
SMALL: dict[str, Any] = {
    "encoder_options": {"hidden_size": 8, "mlp_size": 8, "num_sequences": 2, "sequence_length": 3},
    "representation_size": 4,
    "emulator_hidden_size": 8,
    "num_steps": 3,
    "batch_size": 3,
    "validation_rollouts": 2,
}


@pytest.mark.parametrize("cell", CELLS)
def test_a_zoo_builds_pre_trains_and_embeds(cell: str, tmp_path: Path) -> None:
    config = ZooConfig(
        cell=cell, num_runs=3, num_steps=30, hidden_size=6, num_rollouts=3, num_episodes=5, batch_size=8, seed=1
    )
    with pytest.warns(UserWarning, match=f"no kernel for the cell '{cell}'; torch trains them"):
        zoo = build_zoo(config, tmp_path / "zoo")
    assert zoo.spec.cell == cell
    assert verify(zoo, recompute=len(zoo)) == []
    loss = zoo.column("validation_loss")
    assert (loss[zoo.where(step=30)] < 0.9 * loss[zoo.where(step=0)]).all()

    pretrain(zoo, PretrainConfig(**SMALL), tmp_path / "run")
    vectors = Rnn2Vec.from_pretrained(tmp_path / "run").embed(zoo)
    assert vectors.shape == (len(zoo), 4)
    assert np.isfinite(vectors).all()


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("cell", CELLS)
def test_an_encoder_reads_a_cell_or_says_why_not(cell: str, name: str, random_rnns: Any) -> None:
    spec = RNNSpec(cell=cell, input_size=4, hidden_size=5, num_layers=2, output_size=4)
    if name in READS[cell] | PROBING:
        assert encoders.build(name, spec)(random_rnns(spec)).isfinite().all()
        return
    with pytest.raises(UsageError, match=f"the {name} encoder does not read {cell} RNNs: .*\n.*probing encoder"):
        encoders.build(name, spec)


def test_statistics_of_another_number_of_tensors_are_refused(random_rnns: Any) -> None:
    spec = RNNSpec(cell="mingru", input_size=4, hidden_size=5, num_layers=2, output_size=4)
    stack: RNNStack = random_rnns(dataclasses.replace(spec, cell="lstm"))
    with pytest.raises(UsageError, match=r"\(lstm 2x5.*\) have 10 weight tensors, .* statistics of 6 \(mingru"):
        encoders.build("layerwise-statistics", spec)(stack)


@pytest.mark.parametrize("name", sorted(READS["mingru"]))
def test_a_mingrus_rescaled_units_move_encoders_that_read_weights(name: str, random_rnns: Any) -> None:
    from rnn2vec.rnn.symmetry import scale_units

    spec = RNNSpec(cell="mingru", input_size=4, hidden_size=5, num_layers=2, output_size=4)
    stack: RNNStack = random_rnns(spec)
    factors = torch.tensor([-0.5, 2.0, -3, 0.1, 1.5])
    scaled = RNNStack(spec, scale_units(spec, stack.weights, 0, factors))
    reads, probes = (encoders.build(one, spec) for one in (name, "interactive-probing"))
    torch.testing.assert_close(probes(scaled), probes(stack), rtol=0, atol=1e-4)
    assert (reads(scaled) - reads(stack)).abs().max() > 1e-3
