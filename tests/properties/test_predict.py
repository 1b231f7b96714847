"""From a zoo and an encoder to scores: both settings, what they record, and what is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnn2vec import encoders, tasks
from rnn2vec._errors import UsageError
from rnn2vec._typed import typed
from rnn2vec.embedding.rnn2vec import Rnn2Vec
from rnn2vec.emulation import config as pretraining
from rnn2vec.properties.config import PRESETS, PredictConfig, preset
from rnn2vec.properties.predict import PropertyScores, identify, predict_property, property_baselines
from rnn2vec.zoo.build import build_zoo
from rnn2vec.zoo.store import Zoo

PARTS = {f"{part}{end}" for part in ("train", "validation", "ood") for end in ("", "/last")}


def test_frozen_reads_the_representations_of_a_run(zoo: Zoo, run: Path, config: PredictConfig) -> None:
    result = predict_property(zoo, "task", model=run, setting="frozen", config=config)
    assert (result.setting, result.encoder, result.source) == ("frozen", "layerwise-statistics", "run")
    assert result.model is not None
    assert result.config["representation_size"] == 5
    assert result.config["encoder_options"] == {}, "nothing was trained from scratch"
    assert set(result.scores) == PARTS
    names = {"constant", "linear on statistics", "linear on representation", "trees on statistics"}
    assert set(result.baselines) == names
    assert all(set(scores) == PARTS for scores in result.baselines.values())
    assert result.scores["ood"].num_rnns == 2 * result.scores["ood/last"].num_rnns
    assert 0 < result.best_step <= result.num_steps == 7


def test_supervised_trains_the_encoder(zoo: Zoo, config: PredictConfig, tmp_path: Path) -> None:
    checkpoint = tmp_path / "state.safetensors"
    options: dict[str, Any] = {"setting": "supervised", "config": config}
    result = predict_property(zoo, "performance", encoder="flattened-weights", checkpoint=checkpoint, **options)
    assert (result.setting, result.encoder, result.source, result.model) == (
        "supervised", "flattened-weights", None, None
    )  # fmt: skip
    assert result.config["encoder_options"] == {"hidden_size": 8}
    assert set(result.baselines) == {"constant", "linear on statistics", "trees on statistics"}
    assert not checkpoint.exists(), "removed when it is no longer needed"


def test_supervised_takes_the_architecture_of_a_run_but_not_its_weights(
    zoo: Zoo, run: Path, config: PredictConfig
) -> None:
    config = dataclasses.replace(config, representation_size=3, encoder_options={})
    common: dict[str, Any] = {"setting": "supervised", "baselines": "none"}
    result = predict_property(zoo, "performance", model=run, config=config, **common)
    assert result.config["representation_size"] == 5
    assert result.config["encoder_options"] == {"hidden_size": 8}
    named = dataclasses.replace(config, representation_size=5, encoder_options={"hidden_size": 8})
    same = predict_property(zoo, "performance", encoder="layerwise-statistics", config=named, **common)
    assert result.scores == same.scores
    assert result.baselines == {}


def test_the_same_seed_gives_the_same_scores_and_the_same_test_for_all(
    zoo: Zoo, run: Path, config: PredictConfig
) -> None:
    common: dict[str, Any] = {"model": run, "config": config, "baselines": "none"}
    one, again, other = (predict_property(zoo, "task", **common, seed=seed) for seed in (0, 0, 1))
    assert one == again
    assert one.scores != other.scores


def test_scores_come_back_from_json_and_say_what_they_are_of(zoo: Zoo, run: Path, config: PredictConfig) -> None:
    result = predict_property(zoo, "task", model=run, config=config)
    assert typed(PropertyScores, json.loads(json.dumps(result.to_dict(), allow_nan=False))) == result
    identity = identify(zoo, "task", model=run, config=config)
    assert {name: result.to_dict()[name] for name in identity} == identity
    assert identity != identify(zoo, "task", model=run, config=config, seed=1)


def test_baselines_that_need_no_encoder_are_the_same_beside_every_encoder_and_alone(
    zoo: Zoo, run: Path, config: PredictConfig
) -> None:
    told: list[float] = []
    alone = property_baselines(zoo, "task", seed=1, progress=lambda done, *_: told.append(done))
    assert told == [0, 1, 2]
    assert list(alone) == ["constant", "linear on statistics", "trees on statistics"]
    common: dict[str, Any] = {"model": run, "config": config, "seed": 1}
    beside = predict_property(zoo, "task", **common).baselines
    own = predict_property(zoo, "task", **common, baselines="representation").baselines
    assert list(own) == ["linear on representation"]
    assert beside == {**alone, **own}
    assert property_baselines(zoo, "task", seed=0) != alone, "another half of the OOD tasks joins the training data"


def test_a_model_without_its_run_is_taken_as_it_is(zoo: Zoo, run: Path, config: PredictConfig, tmp_path: Path) -> None:
    Rnn2Vec.from_pretrained(run).save(tmp_path / "model")
    common: dict[str, Any] = {"config": config, "baselines": "none"}
    saved, from_run = (predict_property(zoo, "task", model=one, **common) for one in (tmp_path / "model", run))
    assert saved.scores == from_run.scores
    assert saved.model == from_run.model


# -- refused ---------------------------------------------------------------------------------------


def test_frozen_needs_a_pretrained_encoder(zoo: Zoo) -> None:
    with pytest.raises(UsageError, match=r"frozen with 'dwsnet', which is not pre-trained\n.*--encoder dwsnet --out"):
        predict_property(zoo, "task", encoder="dwsnet")


def test_a_run_on_another_zoo_is_refused(zoo: Zoo, run: Path, tmp_path: Path) -> None:
    """What is unseen there may have been trained on here."""
    other = build_zoo(dataclasses.replace(zoo.manifest.config, seed=1, num_runs=6), tmp_path / "zoo")
    with pytest.raises(UsageError, match=r"run was pre-trained on a zoo other than .*zoo\n"):
        predict_property(other, "task", model=run)


@pytest.mark.usefixtures("without_type_checks")
def test_unknown_names_are_refused(zoo: Zoo, run: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown setting 'frosen'\n.*did you mean 'frozen'"):
        predict_property(zoo, "task", model=run, setting="frosen")  # pyright: ignore[reportArgumentType]
    with pytest.raises(UsageError, match=r"unknown choice of baselines 'representations'\n.*'representation'"):
        predict_property(zoo, "task", model=run, baselines="representations")  # pyright: ignore[reportArgumentType]
    with pytest.raises(UsageError, match=r"unknown property of formal-languages 'tusk'\n.*did you mean 'task'"):
        predict_property(zoo, "tusk", model=run)
    with pytest.raises(UsageError, match="unknown model or folder 'no-such-run'"):
        predict_property(zoo, "task", model="no-such-run")


# -- configs ---------------------------------------------------------------------------------------


def test_the_papers_preset_has_the_papers_numbers() -> None:
    for setting in ("frozen", "supervised"):
        paper = preset("paper", setting)
        assert (paper.hidden_size, paper.num_steps, paper.batch_size, paper.representation_size) == (
            128,
            100_000,
            64,
            16,
        )
        assert (paper.learning_rate, paper.weight_decay, paper.gradient_clip) == (1e-4, 0.01, 0.1)
        assert paper.patience is not None


def test_the_recommended_preset_has_the_papers_steps_and_our_learning_rate() -> None:
    for setting in ("frozen", "supervised"):
        recommended, laptop, paper = (preset(name, setting) for name in ("recommended", "laptop", "paper"))
        assert recommended.num_steps == paper.num_steps
        assert (recommended.learning_rate, recommended.gradient_clip) == (laptop.learning_rate, laptop.gradient_clip)


@pytest.mark.parametrize("name", PRESETS)
def test_a_supervised_encoder_has_the_sizes_of_pretraining(name: str) -> None:
    for encoder in encoders.ENCODERS:
        options = preset(name, "supervised", encoder).encoder_options
        assert options == pretraining.preset(name, encoder).encoder_options
        assert preset(name, "frozen", encoder).encoder_options == {}


def test_a_supervised_encoder_probes_as_long_as_in_pretraining() -> None:
    """Tiled MNIST asks for longer probing sequences than the encoders' own default."""
    family, encoder = tasks.build("tiled-mnist"), "interactive-probing"
    options = preset("laptop", "supervised", encoder, family=family).encoder_options
    assert options["sequence_length"] == family.probing_length
    assert options == pretraining.preset_for(family, "laptop", encoder).encoder_options


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("num_steps", 0, "at least 1"),
        ("patience", 0, "at least 1"),
        ("gradient_clip", 0.0, "above 0"),
        ("learning_rate", -1.0, "0 or more"),
        ("learning_rate", float("nan"), "0 or more"),
    ],
)
def test_a_number_out_of_range_is_refused(name: str, value: float, remedy: str) -> None:
    options: dict[str, Any] = {name: value}
    with pytest.raises(UsageError, match=rf"{name}={value}\n.*{remedy}"):
        PredictConfig(**options)


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(UsageError, match=r"unknown preset 'labtop'\n.*did you mean 'laptop'"):
        preset("labtop")


@pytest.mark.slow
@pytest.mark.parametrize("encoder", encoders.ENCODERS)
def test_every_encoder_can_be_trained_from_scratch(zoo: Zoo, encoder: str) -> None:
    config = dataclasses.replace(preset("tiny", "supervised", encoder), num_steps=2, batch_size=2)
    result = predict_property(zoo, "task", encoder=encoder, setting="supervised", config=config, baselines="none")
    assert np.isfinite(result.scores["ood"].loss)
