"""Training a predictor: it learns, stops early, keeps the best, and goes on where it was."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from rnn2vec import encoders
from rnn2vec._errors import DataError
from rnn2vec.properties.config import PredictConfig
from rnn2vec.properties.data import PropertyData, collect
from rnn2vec.properties.scores import score
from rnn2vec.properties.training import Predictor, Trained, train
from rnn2vec.tasks.base import Property
from rnn2vec.zoo.store import Zoo

SIGNS = Property("signs", ("x", "y"), "binary-cross-entropy", (-1.0, 1.0))
SUM = Property("sum", ("sum",), "mean-squared-error")
ENOUGH = PredictConfig(num_steps=250, validate_every=50, patience=None, learning_rate=5e-3)


def _synthetic(prop: Property, vectors: dict[str, torch.Tensor]) -> PropertyData:
    """Properties that follow from the representation."""
    columns = {part: {"x": one[:, 0].sign(), "y": one[:, 1].sign()} for part, one in vectors.items()}
    for part, one in vectors.items():
        columns[part]["sum"] = 300 + 50 * one[:, :3].sum(dim=1)
    targets = {part: prop.target({name: v.numpy() for name, v in one.items()}) for part, one in columns.items()}
    rows = {part: np.arange(len(one)) for part, one in vectors.items()}
    return PropertyData(prop, rows, targets, {part: np.ones(len(one), dtype=bool) for part, one in vectors.items()})


@pytest.fixture
def vectors(generator: torch.Generator) -> dict[str, torch.Tensor]:
    """Representations: 300 to train on, 50 of each of the others."""
    sizes = {"train": 300, "validation": 50, "ood": 50}
    return {part: torch.randn(size, 4, generator=generator) for part, size in sizes.items()}


def _predictor(data: PropertyData, seed: int = 0) -> Predictor:
    return Predictor(None, representation_size=4, hidden_size=32, num_outputs=data.targets["train"].shape[1], seed=seed)


def test_choices_are_learned(vectors: dict[str, torch.Tensor]) -> None:
    data = _synthetic(SIGNS, vectors)
    trained = train(_predictor(data), vectors, data, ENOUGH, seed=0)
    assert score(SIGNS, trained.outputs["ood"], data.targets["ood"]).accuracy > 0.9  # pyright: ignore[reportOptionalOperand]


def test_numbers_are_learned_in_any_unit(vectors: dict[str, torch.Tensor]) -> None:
    """Around 300 with a deviation of 87: a predictor that did not rescale would not get there."""
    data = _synthetic(SUM, vectors)
    trained = train(_predictor(data), vectors, data, ENOUGH, seed=0)
    assert score(SUM, trained.outputs["ood"], data.targets["ood"]).r_squared > 0.95  # pyright: ignore[reportOptionalOperand]


def test_a_number_that_is_always_the_same_is_learned_too(vectors: dict[str, torch.Tensor]) -> None:
    data = _synthetic(SUM, vectors)
    flat = {part: np.full_like(one, 0.5) for part, one in data.targets.items()}
    trained = train(_predictor(data), vectors, dataclasses.replace(data, targets=flat), ENOUGH, seed=0)
    assert trained.outputs["ood"] == pytest.approx(0.5, abs=0.1)


def test_it_stops_early_and_keeps_the_best(vectors: dict[str, torch.Tensor]) -> None:
    """Labels of the validation RNNs are the opposite of what is learned: the longer, the worse."""
    data = _synthetic(SIGNS, vectors)
    wrong = {**data.targets, "validation": 1 - data.targets["validation"]}
    config = dataclasses.replace(ENOUGH, validate_every=10, patience=3)
    trained = train(_predictor(data), vectors, dataclasses.replace(data, targets=wrong), config, seed=0)
    assert trained.best_step == 10
    assert trained.num_steps == 40
    longer = train(_predictor(data), vectors, data, dataclasses.replace(config, num_steps=10), seed=0)
    assert np.array_equal(longer.outputs["ood"], trained.outputs["ood"]), "those of the best predictor, not the last"


def test_a_seed_gives_the_same_and_another_something_else(vectors: dict[str, torch.Tensor]) -> None:
    data = _synthetic(SUM, vectors)
    config = dataclasses.replace(ENOUGH, num_steps=5)
    one, again, other = (
        train(_predictor(data, seed), vectors, data, config, seed=seed).outputs["ood"] for seed in (0, 0, 1)
    )
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_divergence_is_an_error(vectors: dict[str, torch.Tensor]) -> None:
    data = _synthetic(SUM, vectors)
    config = dataclasses.replace(ENOUGH, learning_rate=1e30)
    with pytest.raises(DataError, match=r"training has diverged\n.*lower learning rate"):
        train(_predictor(data), vectors, data, config, seed=0)


# -- with an encoder, interrupted ------------------------------------------------------------------


class Interruption(BaseException):
    """What stands in for `kill -9`."""


def _supervised(
    zoo: Zoo, config: PredictConfig, name: str, checkpoint: Path | None = None, stop_at: int | None = None
) -> Trained:
    data = collect(zoo, "performance", seed=0)
    encoder = encoders.build(name, zoo.spec, interface=zoo.family.interface, hidden_size=8)
    predictor = Predictor(encoder, representation_size=16, hidden_size=8, num_outputs=1, seed=0)

    def report(done: float, total: float, what: str) -> None:  # noqa: ARG001
        if done == stop_at:
            raise Interruption

    given = {part: zoo.rnns(rows) for part, rows in data.rows.items()}
    return train(predictor, given, data, config, seed=0, checkpoint=checkpoint, progress=report)


@pytest.mark.parametrize("name", ["layerwise-statistics", "flattened-weights"])
def test_interrupted_training_ends_as_if_it_had_not_been(
    zoo: Zoo, config: PredictConfig, tmp_path: Path, name: str
) -> None:
    whole = _supervised(zoo, config, name)
    for stop_at in (3, 6):
        with pytest.raises(Interruption):
            _supervised(zoo, config, name, tmp_path / "state.safetensors", stop_at)
    again = _supervised(zoo, config, name, tmp_path / "state.safetensors")
    assert (again.best_step, again.num_steps) == (whole.best_step, whole.num_steps)
    for part, outputs in whole.outputs.items():
        assert np.array_equal(again.outputs[part], outputs)


def test_the_encoder_is_trained_and_sees_renumbered_units(zoo: Zoo, config: PredictConfig) -> None:
    one = dataclasses.replace(config, num_steps=1)
    before = _supervised(zoo, dataclasses.replace(one, learning_rate=0.0), "flattened-weights").outputs["ood"]
    after = _supervised(zoo, one, "flattened-weights").outputs["ood"]
    plain = _supervised(zoo, dataclasses.replace(one, augment=False), "flattened-weights").outputs["ood"]
    assert not np.array_equal(before, after)
    assert not np.array_equal(after, plain)


def test_a_damaged_checkpoint_is_named(zoo: Zoo, config: PredictConfig, tmp_path: Path) -> None:
    (tmp_path / "state.safetensors").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"state.safetensors is damaged(.|\n)*delete .*state.safetensors and train"):
        _supervised(zoo, config, "layerwise-statistics", tmp_path / "state.safetensors")
