"""The oracle: labels in, representations out; it trains like an encoder and embeds nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from rnn2vec._errors import UsageError
from rnn2vec.embedding.rnn2vec import Rnn2Vec
from rnn2vec.emulation.config import PretrainConfig
from rnn2vec.emulation.data import SplitData
from rnn2vec.emulation.fidelity import emulation_fidelity
from rnn2vec.emulation.model import represent
from rnn2vec.emulation.oracle import Oracle, labels_of
from rnn2vec.emulation.pretrain import pretrain
from rnn2vec.encoders import ENCODERS
from rnn2vec.training.tracking import read_metrics
from rnn2vec.zoo.store import Zoo


@pytest.fixture
def config(small_config: PretrainConfig) -> PretrainConfig:
    return dataclasses.replace(small_config, encoder="oracle", encoder_options={})


def test_labels_are_those_of_task_and_step(tiny_zoo: Zoo) -> None:
    labels = labels_of(tiny_zoo)
    steps, tasks = tiny_zoo.column("step"), tiny_zoo.tasks(np.arange(len(tiny_zoo.column("step"))))
    for one in range(len(labels)):
        for other in range(one):
            same = steps[one] == steps[other] and tasks[one] == tasks[other]
            assert same == np.array_equal(labels[one], labels[other])


def test_angles_that_are_neighbours_have_labels_that_are(tiny_mnist_zoo: Zoo) -> None:
    zoo = Zoo.open(tiny_mnist_zoo.folder)
    angles = np.resize([0.0, 359.0, 180.0, 90.0], 8)
    column = zoo.column
    zoo.column = lambda name: angles if name == "angle" else column(name)  # type: ignore[method-assign]
    first, near, far, _ = labels_of(zoo)[:4, 2:]
    assert np.linalg.norm(first - near) < 0.2
    assert np.linalg.norm(first - far) > 1


def test_it_pre_trains_and_its_emulator_beats_one_that_sees_nothing(
    tiny_zoo: Zoo, config: PretrainConfig, tmp_path: Path
) -> None:
    longer = dataclasses.replace(
        config, num_steps=150, validate_every=50, batch_size=16, learning_rate=0.01, emulator_hidden_size=16
    )
    losses: dict[str, float] = {}
    for name in ("oracle", "task-blind"):
        pretrain(tiny_zoo, dataclasses.replace(longer, encoder=name), tmp_path / name)
        losses[name] = min(line["validation/total-variation"] for line in read_metrics(tmp_path / name))
    assert losses["oracle"] < losses["task-blind"]


def test_a_model_of_it_is_read_again_and_gives_the_same_distances(
    small_zoo: Zoo, config: PretrainConfig, tmp_path: Path
) -> None:
    model = pretrain(small_zoo, config, tmp_path / "run")
    behaviour = SplitData(small_zoo, "validation").first_rollouts(config.validation_rollouts)
    distances = emulation_fidelity(model.encoder, model.emulator, behaviour)["total-variation"]
    best = min(line["validation/total-variation"] for line in read_metrics(tmp_path / "run"))
    assert distances.mean() == pytest.approx(best, rel=1e-5)


def test_it_embeds_no_rnns(small_zoo: Zoo, config: PretrainConfig, tmp_path: Path) -> None:
    pretrain(small_zoo, config, tmp_path / "run")
    with pytest.raises(UsageError, match="the oracle was given RNNStack: it reads the tasks"):
        Rnn2Vec.from_pretrained(tmp_path / "run").embed(small_zoo)
    assert Oracle.name not in ENCODERS


@pytest.mark.usefixtures("without_type_checks")
def test_without_labels_it_is_refused(small_zoo: Zoo, config: PretrainConfig, tmp_path: Path) -> None:
    model = pretrain(small_zoo, config, tmp_path / "run")
    behaviour = dataclasses.replace(SplitData(small_zoo, "validation").first_rollouts(1), labels=None)
    with pytest.raises(UsageError, match=r"the oracle needs tasks and snapshot steps.*\n.*on a zoo"), torch.no_grad():
        represent(model.encoder, behaviour)
