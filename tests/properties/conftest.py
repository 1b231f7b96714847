"""A zoo with all splits, and RNNs so small that a predictor is trained in a second."""

from __future__ import annotations

from pathlib import Path

import pytest

from rnn2vec.emulation.config import PretrainConfig
from rnn2vec.emulation.pretrain import pretrain
from rnn2vec.properties.config import PredictConfig
from rnn2vec.zoo.build import build_zoo
from rnn2vec.zoo.config import ZooConfig
from rnn2vec.zoo.store import Zoo


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    """24 runs of two updates, two snapshots each, 4 hidden units; 3 OOD languages. Read only."""
    config = ZooConfig(
        num_runs=24, num_steps=2, hidden_size=4, num_rollouts=2, num_episodes=5, batch_size=4, backend="torch"
    )
    return build_zoo(config, tmp_path_factory.mktemp("properties") / "zoo")


@pytest.fixture(scope="session")
def run(zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a pre-training run on it, of one update. Read only."""
    config = PretrainConfig(
        encoder="layerwise-statistics",
        encoder_options={"hidden_size": 8},
        representation_size=5,
        emulator_hidden_size=4,
        num_steps=1,
        validation_rollouts=1,
    )
    folder = tmp_path_factory.mktemp("properties") / "run"
    pretrain(zoo, config, folder)
    return folder


@pytest.fixture(scope="session")
def config() -> PredictConfig:
    """Seven updates with validations after 3, 6 and 7."""
    return PredictConfig(hidden_size=8, num_steps=7, batch_size=4, validate_every=3, encoder_options={"hidden_size": 8})
