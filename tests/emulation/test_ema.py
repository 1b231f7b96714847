"""The moving average of the weights: what is validated and kept, and exact when interrupted."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from rnn2vec._errors import UsageError
from rnn2vec.emulation.checkpoints import load_model
from rnn2vec.emulation.config import PretrainConfig
from rnn2vec.emulation.data import SplitData
from rnn2vec.emulation.fidelity import emulation_fidelity
from rnn2vec.emulation.pretrain import pretrain
from rnn2vec.training.tracking import read_metrics
from rnn2vec.zoo.store import Zoo

FILES = ("checkpoint.safetensors", "model.safetensors", "metrics.jsonl")


class Interruption(BaseException):
    """What stands in for `kill -9`."""


@pytest.fixture
def config(small_config: PretrainConfig) -> PretrainConfig:
    """With a moving average."""
    return dataclasses.replace(small_config, ema=0.9)


def _checkpoint(folder: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(folder / "checkpoint.safetensors")


def test_the_average_is_that_of_the_weights(small_zoo: Zoo, config: PretrainConfig, tmp_path: Path) -> None:
    """Slow and obvious: the weights after each update, from runs of so many updates."""
    name = "emulator.readout.weight"
    config = dataclasses.replace(config, decay=False, warm_up_loss=0.0, validate_every=1)
    averages: torch.Tensor | None = None
    for steps in range(1, 5):
        folder = tmp_path / str(steps)
        pretrain(small_zoo, dataclasses.replace(config, num_steps=steps), folder)
        tensors = _checkpoint(folder)
        if averages is None:
            pretrain(small_zoo, dataclasses.replace(config, num_steps=1, learning_rate=0.0), tmp_path / "start")
            averages = _checkpoint(tmp_path / "start")[name]
        decay = min(0.9, steps / (9 + steps))
        averages = decay * averages + (1 - decay) * tensors[name]
        assert torch.allclose(tensors[f"average-{name}"], averages, atol=1e-6)
        assert not torch.allclose(tensors[f"average-{name}"], tensors[name], atol=1e-6)


def test_the_average_is_what_is_validated_and_kept(small_zoo: Zoo, config: PretrainConfig, tmp_path: Path) -> None:
    pretrain(small_zoo, config, tmp_path / "run")
    model = load_model(tmp_path / "run")
    unseen = SplitData(small_zoo, "validation").first_rollouts(config.validation_rollouts)
    found = emulation_fidelity(model.encoder, model.emulator, unseen)["total-variation"].mean()
    best = min(read_metrics(tmp_path / "run"), key=lambda line: line["validation/total-variation"])
    assert found == pytest.approx(best["validation/total-variation"], abs=1e-12)
    if best["step"] == config.num_steps:
        tensors = _checkpoint(tmp_path / "run")
        assert torch.equal(tensors["average-emulator.readout.weight"], model.emulator.readout.weight)


def test_the_average_does_not_touch_training(
    small_zoo: Zoo, config: PretrainConfig, small_run: Path, tmp_path: Path
) -> None:
    pretrain(small_zoo, config, tmp_path / "run")
    with_average, without = _checkpoint(tmp_path / "run"), _checkpoint(small_run)
    assert {name for name in with_average if not name.startswith("average-")} == set(without)
    for name, tensor in without.items():
        assert torch.equal(with_average[name], tensor), name
    assert read_metrics(tmp_path / "run") != read_metrics(small_run)


@pytest.mark.parametrize("updates", [2, 3, 5])
def test_interrupted_it_ends_with_the_same_bytes(
    small_zoo: Zoo, config: PretrainConfig, tmp_path: Path, updates: int
) -> None:
    def stop(done: float, total: float, what: str) -> None:  # noqa: ARG001
        if done == updates:
            raise Interruption

    pretrain(small_zoo, config, tmp_path / "whole")
    with pytest.raises(Interruption):
        pretrain(small_zoo, config, tmp_path / "cut", progress=stop)
    pretrain(small_zoo, config, tmp_path / "cut")
    for name in FILES:
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_a_run_without_an_average_is_not_resumed_with_one(
    small_zoo: Zoo, small_config: PretrainConfig, tmp_path: Path
) -> None:
    pretrain(small_zoo, small_config, tmp_path / "run")
    with pytest.raises(UsageError, match=r"ema is 0\.0, asked for 0\.5"):
        pretrain(small_zoo, dataclasses.replace(small_config, ema=0.5), tmp_path / "run")


@pytest.mark.parametrize("ema", [1.0, -0.1, float("nan")])
def test_a_decay_out_of_range_is_refused(ema: float) -> None:
    options: dict[str, Any] = {"ema": ema}
    with pytest.raises(UsageError, match=rf"ema={ema}\n.*below 1"):
        PretrainConfig(**options)
