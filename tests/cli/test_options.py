"""Options that come from config classes: every field has one, with the values of the presets in the help."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from rnn2vec._errors import UsageError
from rnn2vec.cli import CommandLine
from rnn2vec.cli.options import field_documentation, given_options, with_options
from rnn2vec.cli.pretrain import Pretrain
from rnn2vec.cli.properties import Properties
from rnn2vec.cli.verb import parse
from rnn2vec.cli.zoo import Build
from rnn2vec.emulation.config import PRESETS, PretrainConfig
from rnn2vec.properties.config import PredictConfig
from rnn2vec.zoo.config import ZooConfig

VERBS = [(Pretrain, PretrainConfig), (Properties, PredictConfig), (Build, ZooConfig)]


def _parse(*arguments: str) -> Any:
    verb: Any = parse(CommandLine, "rnn2vec", arguments).verb
    return getattr(verb, "verb", verb)


@pytest.mark.parametrize(("verb", "config"), VERBS)
def test_every_field_of_a_config_has_an_option(verb: type[Any], config: type[Any]) -> None:
    fields = {one.name for one in dataclasses.fields(config)}
    assert fields <= {one.name for one in dataclasses.fields(verb)}
    assert fields <= set(field_documentation(config))


def test_options_replace_the_values_of_a_preset_and_nothing_else() -> None:
    verb = _parse(
        "pretrain", "zoo", "--out", "run", "--steps", "7", "--decay", "False", "--patience", "None",
        "--encoder-options", "hidden_size=3", "unit_norm=False", "probe_start=learned",
    )  # fmt: skip
    base = dataclasses.replace(PRESETS["paper"], encoder_options={"hidden_size": 9, "num_sequences": 2})
    options = {"hidden_size": 3, "num_sequences": 2, "unit_norm": False, "probe_start": "learned"}
    expected = dataclasses.replace(base, num_steps=7, decay=False, patience=None, encoder_options=options)
    assert with_options(base, verb) == expected
    assert set(given_options(verb)) == {"num_steps", "decay", "patience", "encoder_options"}
    assert with_options(base, _parse("pretrain", "zoo", "--out", "run")) == base


def test_numbers_of_several_parts_are_given_one_after_the_other() -> None:
    verb = _parse("zoo", "build", "formal-languages", "--out", "z", "--learning-rates", "0.1", "0.2", "0.3")
    assert with_options(ZooConfig(), verb).learning_rates == (0.1, 0.2, 0.3)


@pytest.mark.parametrize("pair", ["hidden_size", "=3", "hidden_size="])
def test_a_pair_that_is_none_is_refused(pair: str) -> None:
    verb = _parse("pretrain", "zoo", "--out", "run", "--encoder-options", pair)
    with pytest.raises(UsageError, match=rf"--encoder-options {pair}\n.*NAME=VALUE"):
        with_options(PretrainConfig(), verb)


def test_help_shows_the_values_of_presets_and_the_known_names(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _parse("pretrain", "--help")
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "Maximum number of updates. (tiny: 60; tour: 1500; laptop: 8000; recommended, paper: 100000)" in text
    assert "Known: total-variation, " in text
