"""Tables 3 to 10 of the paper, read off the preset `paper` and counted on its encoders."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import torch

from rnn2vec import encoders, tasks
from rnn2vec.emulation import config as emulation_config
from rnn2vec.emulation.emulator import Emulator
from rnn2vec.encoders.base import count_parameters
from rnn2vec.experiments import paper
from rnn2vec.properties import config as properties_config
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.tasks.base import TaskFamily

FAMILIES = ("formal-languages", "tiled-mnist")

_OPTIONS: dict[str, tuple[int, dict[str, tuple[str, str]]]] = {
    "layerwise-statistics": (5, {"hidden_size": ("MLP hidden size (3 layers)", "768")}),
    "flattened-weights": (6, {"hidden_size": ("MLP hidden size (3 layers)", "128")}),
    "parameter-transformer": (
        7,
        {
            "hidden_size": ("size", "128"),
            "mlp_size": ("MLP hidden size", "512"),
            "num_layers": ("layers", "6"),
            "num_heads": ("heads", "2"),
        },
    ),
    "dwsnet": (8, {"channels": ("channels", "48"), "num_layers": ("layers", "4")}),
    "noninteractive-probing": (
        9,
        {
            "hidden_size": ("E_R size (2 layers)", "256"),
            "mlp_size": ("E_I and E_O hidden size", "128"),
        },
    ),
    "interactive-probing": (
        10,
        {
            "hidden_size": ("E_R size (2 layers)", "256"),
            "mlp_size": ("E_I and E_O hidden size", "128"),
        },
    ),
}
"""Number of each encoder's table, and the paper's name and value of each option."""


def hyperparameters() -> Iterator[dict[str, Any]]:
    """Give a line for each entry of Tables 3 to 10: the paper's value, and that of the preset `paper`."""
    config = emulation_config.preset("paper")
    layers = inspect.signature(Emulator).parameters["num_layers"].default
    pretraining = (
        ("A hidden size", "256", config.emulator_hidden_size),
        ("A layers", "2", layers),
        ("z size", "16", config.representation_size),
        ("batch size", "64", config.batch_size),
        ("optimizer", "AdamW", "AdamW"),
        ("learning rate", "0.0001", config.learning_rate),
        ("weight decay", "0.01", config.weight_decay),
        ("gradient clipping", "0.1", config.gradient_clip),
    )
    yield from (_line(3, *entry) for entry in pretraining)
    predictor = properties_config.preset("paper")
    yield _line(4, "predictor MLP size", "128", predictor.hidden_size)
    yield _line(4, "predictor MLP layers", "2", 2)
    for encoder, (number, options) in _OPTIONS.items():
        families = [tasks.build(name) for name in FAMILIES]
        built = [_paper_encoder(encoder, family) for family in families]
        for option, (title, published) in options.items():
            yield _line(number, title, published, _option(encoder, option))
        for family, published, model in zip(families, paper.PARAMETERS[encoder], built, strict=True):
            yield _line(number, f"parameters, {family.name}", f"{published:,}", f"{count_parameters(model):,}")


def _line(number: int, name: str, published: str, here: object) -> dict[str, Any]:
    text = f"{here:g}" if isinstance(here, float) else str(here)
    return {"table": number, "hyperparameter": name, "paper": published, "here": text}


def _option(encoder: str, option: str) -> object:
    """Return an option of the preset `paper`, or the encoder's default."""
    given = emulation_config.preset("paper", encoder).encoder_options
    parameters = inspect.signature(encoders.ENCODERS[encoder]).parameters
    for kind in encoders.ENCODERS[encoder].__mro__:
        if option not in parameters:
            parameters = inspect.signature(kind).parameters
    return given.get(option, parameters[option].default)


def _paper_encoder(encoder: str, family: TaskFamily) -> torch.nn.Module:
    spec = RNNSpec(
        cell="lstm", input_size=family.input_size, hidden_size=32, num_layers=2, output_size=family.output_size
    )
    options = emulation_config.preset("paper", encoder, probing_length=family.probing_length).encoder_options
    with torch.device("meta"):  # shapes alone
        return encoders.build(encoder, spec, interface=family.interface, **options)
