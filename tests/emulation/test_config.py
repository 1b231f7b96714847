"""How an encoder is pre-trained: the learning rate, the presets, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnn2vec import encoders
from rnn2vec._errors import UsageError
from rnn2vec.emulation import checkpoints
from rnn2vec.emulation.config import PRESETS, PretrainConfig, preset
from rnn2vec.emulation.pretrain import pretrain
from rnn2vec.encoders.probing import ProbingEncoder
from rnn2vec.rnn.interface import Interface
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.tasks.formal_languages import FormalLanguages
from rnn2vec.tasks.tiled_mnist import TiledMnist
from rnn2vec.training.tracking import read_metrics
from rnn2vec.zoo.build import build_zoo
from rnn2vec.zoo.config import ZooConfig
from rnn2vec.zoo.store import Zoo

DIGITS = TiledMnist().interface
SPEC = RNNSpec(cell="lstm", input_size=6, hidden_size=32, num_layers=2, output_size=6)


# -- the learning rate -----------------------------------------------------------------------------


def test_it_rises_then_falls_linearly_to_0() -> None:
    config = PretrainConfig(num_steps=10, warm_up_steps=4, learning_rate=1.0)
    rates = [config.learning_rate_at(step) for step in range(10)]
    assert rates == pytest.approx([1 / 4, 2 / 4, 3 / 4, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])
    assert config.learning_rate_at(10) == 0


def test_without_decay_it_stays() -> None:
    config = PretrainConfig(num_steps=10, warm_up_steps=0, learning_rate=0.1, decay=False)
    assert {config.learning_rate_at(step) for step in range(10)} == {0.1}


@given(num_steps=st.integers(1, 300), warm_up=st.integers(0, 300), decay=st.booleans())
def test_it_is_always_above_0_and_never_above_its_highest(num_steps: int, warm_up: int, decay: bool) -> None:
    config = PretrainConfig(num_steps=num_steps, warm_up_steps=warm_up, decay=decay, learning_rate=0.5)
    rates = [config.learning_rate_at(step) for step in range(num_steps)]
    assert all(0 < rate <= 0.5 for rate in rates)
    top = rates.index(max(rates))
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)


# -- presets ---------------------------------------------------------------------------------------


def test_the_papers_preset_has_the_papers_numbers() -> None:
    paper = preset("paper")
    assert (paper.emulator_hidden_size, paper.batch_size, paper.num_steps) == (256, 64, 100_000)
    assert (paper.learning_rate, paper.weight_decay, paper.gradient_clip) == (1e-4, 0.01, 0.1)
    assert (paper.conditioning, paper.loss, paper.warm_up_loss) == ("first-step", "reverse-kl", 0)
    assert (paper.warm_up_steps, paper.decay) == (0, False)
    assert paper.learning_rate_at(0) == paper.learning_rate_at(99_999) == 1e-4
    assert paper.patience is not None


def test_the_papers_probing_has_none_of_our_additions() -> None:
    plain = {"first_input": False, "normalize": False, "forget_bias": 0.0, "extra_step": True}
    assert preset("paper", "noninteractive-probing").encoder_options == plain
    assert preset("paper", "interactive-probing").encoder_options == {**plain, "probe_start": "learned"}


def test_the_papers_preset_follows_the_released_code_where_the_paper_is_silent() -> None:
    assert preset("paper", "parameter-transformer").encoder_options == {"dropout": 0.1, "position_deviation": 1.0}
    assert preset("paper", "dwsnet").encoder_options == {"identity_deviation": 1.0, "joint_bound": True}
    assert preset("paper").emulator_forget_bias == 0
    assert (preset("recommended").emulator_forget_bias, preset("recommended", "dwsnet").encoder_options) == (1, {})


@pytest.mark.parametrize(("interface", "probes", "expected"), [(FormalLanguages().interface, 22, 23), (DIGITS, 50, 51)])
def test_the_papers_static_probing_learns_an_embedding_more_than_it_asks(
    interface: Interface, probes: int, expected: int
) -> None:
    options = preset("paper", "noninteractive-probing", probing_length=probes).encoder_options
    size = 16 if interface is DIGITS else 6
    spec = dataclasses.replace(SPEC, input_size=size, output_size=10 if interface is DIGITS else 6)
    encoder = encoders.build("noninteractive-probing", spec, interface=interface, **options)
    embeddings = [weight for name, weight in encoder.named_parameters() if name in {"script", "end"}]
    assert sum(weight.numel() for weight in embeddings) == expected * 256


SIZES_OF_TRAINING = {"emulator_hidden_size", "num_steps", "validate_every"}
PROBING = {"noninteractive-probing", "interactive-probing"}
RECIPE = {
    "first_input", "normalize", "forget_bias", "probe_start", "extra_step", "dropout", "position_deviation",
    "identity_deviation", "joint_bound",
}  # fmt: skip


def _apart(one: PretrainConfig, other: PretrainConfig) -> set[str]:
    """Fields in which two configs differ."""
    return {name for name, value in one.to_dict().items() if value != other.to_dict()[name]} - {"encoder_options"}


@pytest.mark.parametrize("encoder", encoders.ENCODERS)
def test_the_recommended_preset_is_the_laptops_recipe_at_the_papers_size(encoder: str) -> None:
    recommended, laptop, paper = (preset(name, encoder) for name in ("recommended", "laptop", "paper"))
    assert _apart(recommended, laptop) == SIZES_OF_TRAINING
    assert not _apart(recommended, paper) & SIZES_OF_TRAINING
    assert recommended.patience is None
    assert recommended.encoder_options == {
        name: value for name, value in paper.encoder_options.items() if name not in RECIPE
    }
    if encoder in PROBING:
        model = encoders.build(encoder, SPEC, interface=FormalLanguages().interface, **recommended.encoder_options)
        assert isinstance(model, ProbingEncoder)
        assert (model.hidden_size, model.normalize, model.first_probe is None) == (256, True, False)
        assert getattr(model, "probe_start", "self-feeding") == "self-feeding"
        assert not RECIPE & laptop.encoder_options.keys(), "both take what the encoder does by itself"


@pytest.mark.parametrize("encoder", encoders.ENCODERS)
@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_makes_every_encoder(name: str, encoder: str) -> None:
    config = preset(name, encoder)
    assert config.encoder == encoder
    model = checkpoints.make_model(
        checkpoints.model_config(
            encoder=encoder,
            encoder_options=config.encoder_options,
            emulator_options={"hidden_size": config.emulator_hidden_size, "conditioning": config.conditioning},
            spec=SPEC,
            interface=FormalLanguages().interface,
            representation_size=config.representation_size,
            provenance={},
        ),
        seed=0,
    )
    assert model.encoder.name == encoder
    assert model.emulator.lstm.hidden_size == config.emulator_hidden_size


@pytest.fixture(scope="module")
def zoo_of_two(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    """Two runs of four steps."""
    config = ZooConfig(num_runs=2, num_steps=4, num_rollouts=4, num_episodes=4, backend="torch")
    return build_zoo(config, tmp_path_factory.mktemp("two") / "zoo")


@pytest.mark.slow
@pytest.mark.parametrize("encoder", encoders.ENCODERS)
@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_trains_every_encoder(name: str, encoder: str, zoo_of_two: Zoo, tmp_path: Path) -> None:
    """Four updates on two runs of four steps; everything else is the preset's."""
    model = pretrain(zoo_of_two, dataclasses.replace(preset(name, encoder), num_steps=4), tmp_path / "run")
    assert model.encoder(zoo_of_two.rnns([0, 3])).isfinite().all()
    (line,) = read_metrics(tmp_path / "run")
    assert line["step"] == 4
    assert all(math.isfinite(value) for value in line.values())


# -- refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        *[
            (name, 0, "at least 1")
            for name in (
                "num_steps", "batch_size", "rollouts_per_rnn", "validation_rollouts", "validate_every", "patience",
                "representation_size", "emulator_hidden_size",
            )
        ],
        *[
            (name, -1, "0 or more")
            for name in ("seed", "learning_rate", "warm_up_loss", "warm_up_share", "warm_up_steps", "weight_decay")
        ],
        ("learning_rate", math.nan, "0 or more"),
        ("learning_rate", math.inf, "0 or more"),
        ("gradient_clip", 0.0, "above 0"),
        ("gradient_clip", math.nan, "above 0"),
    ],
)  # fmt: skip
def test_a_number_out_of_range_is_refused(name: str, value: float, remedy: str) -> None:
    options: dict[str, Any] = {name: value}
    with pytest.raises(UsageError, match=rf"{name}={value}\n.*{remedy}"):
        PretrainConfig(**options)


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    ("name", "given", "near"), [("conditioning", "everystep", "every-step"), ("precision", "float16", "bfloat16")]
)
def test_an_unknown_choice_is_refused_with_the_nearest(name: str, given: str, near: str) -> None:
    options: dict[str, Any] = {name: given}
    with pytest.raises(UsageError, match=rf"unknown {name} '{given}'\n.*did you mean '{near}'"):
        PretrainConfig(**options)


@pytest.mark.parametrize(("given", "near"), [("labtop", "laptop"), ("papr", "paper")])
def test_an_unknown_preset_is_refused_with_the_nearest(given: str, near: str) -> None:
    with pytest.raises(
        UsageError, match=rf"unknown preset '{given}'\n.*did you mean '{near}'\? Known: laptop, paper, "
    ):
        preset(given)


def test_a_config_comes_back_from_json_as_it_was() -> None:
    for name in PRESETS:
        config = preset(name)
        assert PretrainConfig(**json.loads(json.dumps(config.to_dict()))) == config
