"""The examples, run as people run them, and what they show."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
EXAMPLES = Path(__file__).parents[2] / "examples"


def found_by(name: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    sys.modules.pop(name, None)
    return importlib.import_module(name).main(seed=seed)


@pytest.mark.parametrize("seed", range(3))
def test_the_odd_ones_of_a_fleet_are_found(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    found = found_by("fleet", seed, monkeypatch)
    assert found["rnn2vec"] >= 0.9
    assert found["rnn2vec"] > found["raw weights"] + 0.3


@pytest.mark.parametrize("name", ["policies", "tasks"])
@pytest.mark.parametrize("seed", range(3))
def test_the_nearest_one_does_the_same(name: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    found = found_by(name, seed, monkeypatch)
    assert found["rnn2vec"] >= 0.8
    assert found["rnn2vec"] > max(found["raw weights"], found["statistics of the weights"]) + 0.1
