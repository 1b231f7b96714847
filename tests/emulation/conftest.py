"""A zoo and a config so small that a test can pre-train several times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rnn2vec.emulation.config import PretrainConfig
from rnn2vec.zoo.build import build_zoo
from rnn2vec.zoo.config import ZooConfig
from rnn2vec.zoo.store import Zoo

SMALL: dict[str, Any] = {
    "encoder": "interactive-probing",
    "encoder_options": {"hidden_size": 8, "mlp_size": 8, "num_sequences": 2, "sequence_length": 3},
    "representation_size": 4,
    "emulator_hidden_size": 8,
    "num_steps": 7,
    "batch_size": 3,
    "warm_up_steps": 2,
    "validation_rollouts": 2,
    "validate_every": 3,
}


@pytest.fixture(scope="session")
def small_zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    """Three runs of two updates, two snapshots each, 4 hidden units. Read only."""
    config = ZooConfig(
        num_runs=3, num_steps=2, hidden_size=4, num_rollouts=3, num_episodes=3, batch_size=4, backend="torch"
    )
    return build_zoo(config, tmp_path_factory.mktemp("small") / "zoo")


@pytest.fixture
def small_config() -> PretrainConfig:
    """Seven updates with validations after 3, 6 and 7."""
    return PretrainConfig(**SMALL)


@pytest.fixture(scope="session")
def small_run(small_zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an uninterrupted run of `small_config` on `small_zoo`. Read only."""
    from rnn2vec.emulation.pretrain import pretrain

    folder = tmp_path_factory.mktemp("small") / "run"
    pretrain(small_zoo, PretrainConfig(**SMALL), folder)
    return folder
