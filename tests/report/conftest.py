"""A tour in miniature, made once: a tiny zoo and three tiny runs on it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from rnn2vec.emulation.config import preset as pretrain_preset
from rnn2vec.emulation.pretrain import pretrain
from rnn2vec.experiments.tour.measure import BLIND, INTERACTIVE, STATIC, TourResults, measure
from rnn2vec.zoo.build import build_zoo
from rnn2vec.zoo.config import preset as zoo_preset
from rnn2vec.zoo.store import Zoo


@dataclass
class TinyTour:
    """What `rnn2vec tour` has when it comes to the report."""

    zoo: Zoo
    runs: dict[str, Path]


@pytest.fixture(scope="session")
def tiny_tour(tmp_path_factory: pytest.TempPathFactory) -> TinyTour:
    """Made once for all tests; nobody writes into it."""
    folder = tmp_path_factory.mktemp("tour")
    config = replace(zoo_preset("tiny"), num_steps=100, backend="torch")  # no compilation
    zoo = build_zoo(config, folder / "zoo")
    for encoder in (INTERACTIVE, STATIC, BLIND):
        config = replace(pretrain_preset("tiny", encoder), num_steps=20, validate_every=10)
        pretrain(zoo, config, folder / encoder)
    return TinyTour(zoo, {encoder: folder / encoder for encoder in (INTERACTIVE, STATIC, BLIND)})


@pytest.fixture(scope="session")
def results(tiny_tour: TinyTour) -> TourResults:
    """Measured once."""
    return measure(tiny_tour.zoo, tiny_tour.runs)
