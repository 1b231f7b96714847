"""Any supervised sequence task as a family, and every kind of examples trained as the loss says."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rnn2vec import tasks
from rnn2vec._errors import DataError, UsageError
from rnn2vec._registry import FAMILIES
from rnn2vec.embedding.rnn2vec import Rnn2Vec
from rnn2vec.emulation.config import PretrainConfig
from rnn2vec.emulation.pretrain import pretrain
from rnn2vec.properties.config import PredictConfig
from rnn2vec.properties.predict import predict_property
from rnn2vec.tasks.base import Task
from rnn2vec.tasks.examples import ExampleKind, SequenceExamples
from rnn2vec.tasks.supervised import SupervisedFamily
from rnn2vec.zoo.backends.torch_backend import weighted_loss
from rnn2vec.zoo.build import build_zoo
from rnn2vec.zoo.config import ZooConfig
from rnn2vec.zoo.verify import verify

KINDS = [
    ("tokens", "classes", False),
    ("tokens", "numbers", True),
    ("numbers", "classes", True),
    ("numbers", "numbers", False),
    ("numbers", "numbers", True),
]


@dataclass(frozen=True)
class Echo(SupervisedFamily):
    """Repeat what came `delay` steps ago; inputs and targets of any kind."""

    name = "echo"
    task_columns = ("delay",)
    input_size = 3
    output_size = 3
    inputs: str = "tokens"
    targets: str = "classes"
    is_weighted: bool = False
    length: int = 6

    def draw_task(self, generator: np.random.Generator) -> Task:
        return (float(generator.integers(3)),)

    def draw_examples(self, task: Task, count: int, generator: np.random.Generator) -> SequenceExamples:
        delay = int(task[0])
        tokens = generator.integers(3, size=(count, self.length)).astype(np.uint8)
        echo = np.pad(tokens, ((0, 0), (delay, 0)))[:, : self.length]
        hot = np.eye(3, dtype=np.float32)
        weights = np.tile((np.arange(self.length) >= delay).astype(np.float32), (count, 1))
        return SequenceExamples(
            tokens if self.inputs == "tokens" else hot[tokens],
            echo if self.targets == "classes" else hot[echo],
            np.full(count, 1 / count),
            weights if self.is_weighted else None,
        )

    def is_ood(self, task: Task) -> bool:
        return task[0] == 2


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FAMILIES, "_registered", {"echo": Echo})


def _config(**options: Any) -> ZooConfig:
    options = {"num_examples": 20, "num_held_out": 16, **options}
    sizes = {"num_runs": 8, "num_steps": 60, "hidden_size": 8, "num_layers": 1, "num_rollouts": 6}
    return ZooConfig(
        family="echo",
        family_options=options,
        seed=3,
        batch_size=16,
        num_episodes=10,
        cell="gru",
        runs_per_shard=4,
        **sizes,
    )


@pytest.mark.parametrize(("inputs", "targets", "is_weighted"), KINDS)
def test_a_zoo_learns_its_task_and_goes_through_the_whole_library(
    tmp_path: Path, inputs: str, targets: str, is_weighted: bool
) -> None:
    build = _config(inputs=inputs, targets=targets, is_weighted=is_weighted)
    kind = ExampleKind(inputs, targets, is_weighted)  # pyright: ignore[reportArgumentType]
    if kind == ExampleKind():  # which Numba trains; its compilation takes long
        zoo = build_zoo(dataclasses.replace(build, backend="torch"), tmp_path / "zoo")
    else:
        with pytest.warns(UserWarning, match=f"no kernel for examples that are {kind}; torch trains them"):
            zoo = build_zoo(build, tmp_path / "zoo")
    assert verify(zoo, recompute=len(zoo)) == []
    first, last = zoo.where(step=0), zoo.where(step=60)
    assert (zoo.column("validation_loss")[last] < zoo.column("validation_loss")[first]).all()
    assert zoo.column("performance")[last].mean() > zoo.column("performance")[first].mean() + 0.2
    assert {len(zoo.split(split)) > 0 for split in ("train", "validation", "ood")} == {True}

    interface = zoo.family.interface
    assert interface.output_kind == ("categorical" if targets == "classes" else "continuous")
    loss: dict[str, Any] = {} if targets == "classes" else {"loss": "mse", "warm_up_loss": 0.0}
    options = {"hidden_size": 8, "mlp_size": 8, "num_sequences": 2, "sequence_length": 3}
    small: dict[str, Any] = {"representation_size": 4, "emulator_hidden_size": 8, "num_steps": 3, "batch_size": 3}
    pretrain(zoo, PretrainConfig(encoder_options=options, validation_rollouts=2, **small, **loss), tmp_path / "run")
    vectors = Rnn2Vec.from_pretrained(tmp_path / "run").embed(zoo)
    assert np.isfinite(vectors).all()
    config = PredictConfig(num_steps=2, validate_every=2)
    assert predict_property(zoo, "task", model=tmp_path / "run", config=config).scores


def test_only_weighted_steps_count() -> None:
    outputs, targets = torch.tensor([[[[1.0], [2], [5]]]]), torch.tensor([[[[0.0], [0], [0]]]])
    weights = torch.tensor([[[1.0, 3, 0]]])
    loss = weighted_loss(outputs, targets, torch.ones(1, 1), weights)
    torch.testing.assert_close(loss, torch.tensor([(1 + 3 * 4) / 4.0]))
    even = weighted_loss(outputs, targets, torch.ones(1, 1), torch.ones(1, 1, 3))
    torch.testing.assert_close(even, weighted_loss(outputs, targets, torch.ones(1, 1)))


def test_examples_and_splits_follow_from_seeds() -> None:
    family = Echo()
    assert (family.examples((1.0,)).inputs == Echo().examples((1.0,)).inputs).all()
    assert (family.examples((1.0,)).inputs[:100] != family.held_out((1.0,)).inputs[:100]).any()
    assert (Echo(data_seed=1).examples((1.0,)).inputs != family.examples((1.0,)).inputs).any()
    dealt = family.deal(40, 0)
    assert dealt[:10] == family.deal(10, 0)
    assert {one.split for one in dealt if one.task == (2.0,)} == {"ood"}
    usual = [one.split for one in dealt if one.split != "ood"]
    assert usual[1::5] == ["validation"] * len(usual[1::5])
    assert set(usual[0::5]) == {"train"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"inputs": np.full((2, 3, 1), np.nan, np.float32)}, "inputs of examples are not finite"),
        ({"step_weights": np.zeros((2, 3), np.float32)}, "all 0 in an example"),
        ({"step_weights": np.full((2, 3), -1, np.float32)}, "step_weights that are negative"),
    ],
)
def test_examples_that_cannot_be_trained_are_refused(change: dict[str, np.ndarray], words: str) -> None:
    tokens = np.zeros((2, 3), np.uint8)
    with pytest.raises(DataError, match=words):
        SequenceExamples(**{"inputs": tokens, "targets": tokens, "weights": np.full(2, 0.5), **change})


def test_a_number_of_examples_below_one_is_refused() -> None:
    with pytest.raises(UsageError, match=r"num_held_out=0\n.*at least 1"):
        tasks.build("echo", {"num_held_out": 0})


def test_the_class_describes_tasks_and_rollouts() -> None:
    assert Echo().describe((2.0,)) == "delay 2"
    assert Echo().decode(torch.tensor([7])) == "held-out example 7"
