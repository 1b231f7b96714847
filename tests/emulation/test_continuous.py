"""RNNs whose outputs are numbers: squared error from the preset to the floor, and nothing about distributions."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from rnn2vec._errors import UsageError
from rnn2vec.embedding.rnn2vec import Rnn2Vec
from rnn2vec.emulation.config import PRESETS, PretrainConfig, preset
from rnn2vec.emulation.data import SplitData
from rnn2vec.emulation.fidelity import closed_form_floor
from rnn2vec.emulation.pretrain import pretrain
from rnn2vec.rnn.interface import Interface
from rnn2vec.tasks.tiled_mnist import TiledMnist
from rnn2vec.training.tracking import read_metrics
from rnn2vec.zoo.store import Zoo


class _Numbers(TiledMnist):
    """Digit readers whose logits are taken as numbers."""

    @property
    def interface(self) -> Interface:
        return dataclasses.replace(super().interface, output_kind="continuous")


@pytest.fixture(scope="module")
def zoo_of_numbers(tiny_mnist_zoo: Zoo) -> Zoo:
    """A zoo whose family has continuous outputs."""
    zoo = Zoo.open(tiny_mnist_zoo.folder)
    zoo.family = _Numbers(**zoo.manifest.config.family_options)  # a cached property: from now on, this is the family
    return zoo


@pytest.fixture(scope="module")
def config() -> PretrainConfig:
    """Twelve updates of a small encoder, validated three times."""
    small = preset("tiny", output_kind="continuous")
    return dataclasses.replace(small, num_steps=12, batch_size=4, warm_up_steps=2, validate_every=4)


@pytest.fixture(scope="module")
def run(zoo_of_numbers: Zoo, config: PretrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("continuous") / "run"
    pretrain(zoo_of_numbers, config, folder)
    return folder


def test_metrics_are_squared_errors_and_nothing_else(run: Path) -> None:
    lines = read_metrics(run)
    assert [line["step"] for line in lines] == [4, 8, 12]
    assert set(lines[0]) == {"step", "train/loss", "validation/mse", "last/mse"}
    assert lines[-1]["validation/mse"] < lines[0]["validation/mse"]


def test_the_validation_loss_is_the_mean_over_answers_to_stored_rollouts(
    zoo_of_numbers: Zoo, config: PretrainConfig, run: Path
) -> None:
    rnn2vec = Rnn2Vec.from_pretrained(run)
    behaviour = SplitData(zoo_of_numbers, "validation").first_rollouts(config.validation_rollouts)
    assert behaviour.before_end is None
    with torch.no_grad():
        emulated = rnn2vec.emulator(rnn2vec.encoder(behaviour.rnns), behaviour.inputs)
    loss = (emulated - behaviour.outputs).square().mean().item()
    assert min(line["validation/mse"] for line in read_metrics(run)) == pytest.approx(loss, rel=1e-4)


def test_a_run_that_was_interrupted_ends_with_the_same_bytes(
    zoo_of_numbers: Zoo, config: PretrainConfig, run: Path, tmp_path: Path
) -> None:
    def stop(done: float, total: float, what: str) -> None:  # noqa: ARG001
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(zoo_of_numbers, config, tmp_path / "run", progress=stop)
    pretrain(zoo_of_numbers, config, tmp_path / "run")
    for name in ("model.safetensors", "metrics.jsonl"):
        assert (tmp_path / "run" / name).read_bytes() == (run / name).read_bytes()


def test_a_zoo_of_classifiers_is_embedded(zoo_of_numbers: Zoo, run: Path) -> None:
    vectors = Rnn2Vec.from_pretrained(run).embed(zoo_of_numbers)
    assert vectors.shape == (8, 16)
    assert len(np.unique(vectors.round(6), axis=0)) == 8


def test_a_loss_for_distributions_is_refused(zoo_of_numbers: Zoo, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown loss for continuous outputs 'total-variation'\n.*Known: mse"):
        pretrain(zoo_of_numbers, PretrainConfig(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


# -- presets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(PRESETS))
def test_presets_compare_continuous_outputs_by_their_squared_error(name: str) -> None:
    chosen = preset(name, output_kind="continuous", probing_length=50)
    assert (chosen.loss, chosen.warm_up_loss) == ("mse", 0.0)
    assert chosen.encoder_options["sequence_length"] == (8 if name == "tiny" else 50)
    others = {"loss", "warm_up_loss", "encoder_options"}
    before, after = (json.loads(json.dumps(one.to_dict())) for one in (preset(name), chosen))
    assert {key for key in before if before[key] != after[key]} <= others


def test_only_probing_encoders_have_a_probing_length() -> None:
    assert "sequence_length" not in preset("laptop", "flattened-weights", probing_length=50).encoder_options
    assert "sequence_length" not in preset("laptop").encoder_options


# -- the floor -------------------------------------------------------------------------------------


def test_the_floor_is_the_best_answer_that_depends_on_the_step_alone(
    zoo_of_numbers: Zoo, generator: torch.Generator
) -> None:
    data = SplitData(zoo_of_numbers, "validation")
    floor = closed_form_floor(data, 5)
    assert floor is not None
    assert set(floor) == {"mse"}
    outputs = data.first_rollouts(5).outputs
    for change in (torch.zeros_like(outputs[:1, :1]), 0.01 * torch.randn(outputs[:1, :1].shape, generator=generator)):
        other = (outputs.mean(dim=(0, 1)) + change - outputs).square().mean().item()
        assert floor["mse"].mean() <= other + 1e-6
    assert floor["mse"].mean() == pytest.approx(outputs.var(dim=(0, 1), correction=0).mean().item(), rel=1e-4)


def test_a_task_blind_emulator_is_the_other_part(zoo_of_numbers: Zoo, config: PretrainConfig, tmp_path: Path) -> None:
    blind = dataclasses.replace(config, encoder="task-blind", encoder_options={})
    pretrain(zoo_of_numbers, blind, tmp_path / "blind")
    vectors = Rnn2Vec.from_pretrained(tmp_path / "blind").embed(zoo_of_numbers)
    assert (vectors == vectors[0]).all()
    assert "validation/mse" in read_metrics(tmp_path / "blind")[-1]
