"""Names from other packages: found by their metadata, loaded on use, and never in the way of the others."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from rnn2vec import _registry, tasks
from rnn2vec._errors import DataError, UsageError
from rnn2vec._registry import ENCODERS, FAMILIES, LOSSES, Registry
from rnn2vec.emulation import losses
from rnn2vec.encoders.base import TaskBlindEncoder
from rnn2vec.tasks.formal_languages import FormalLanguages

Install = Callable[[str, Mapping[str, str], str], Path]

REGISTRIES = [one for one in vars(_registry).values() if isinstance(one, Registry)]
NAMED = [one for one in REGISTRIES if len(one)]
PALINDROMES = """
from dataclasses import dataclass
from rnn2vec.tasks.formal_languages import FormalLanguages
@dataclass(frozen=True)
class Palindromes(FormalLanguages):
    name = "palindromes"
"""
HALF = """
from rnn2vec.emulation.losses import loss
@loss("continuous")
def half(rnn, emulator):
    return (rnn - emulator).square().sum(dim=-1) / 2
"""


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda one: one.kind)
def test_every_built_in_name_loads_what_it_promises(registry: Registry[object]) -> None:
    for name in registry:
        registry._check(name, registry[name])


@pytest.mark.parametrize("registry", NAMED, ids=lambda one: one.kind)
def test_an_unknown_name_suggests_the_nearest_and_lists_all(registry: Registry[object]) -> None:
    name = next(iter(registry))
    with pytest.raises(UsageError) as caught:
        _ = registry[name + "x"]
    assert f"unknown {registry.kind} '{name}x'\n  -> did you mean '{name}'? Known: " in str(caught.value)
    assert all(one in str(caught.value) for one in registry)


def test_a_family_of_another_package_is_built_by_its_name(installed: Install) -> None:
    assert "palindromes" not in FAMILIES
    installed("mine", {"rnn2vec.task_families palindromes": "Palindromes"}, PALINDROMES)
    assert list(FAMILIES) == ["formal-languages", "tiled-mnist", "palindromes"]
    assert type(tasks.build("palindromes", {"n_max": 5})).__name__ == "Palindromes"


def test_a_loss_of_another_package_is_among_those_for_its_outputs(installed: Install) -> None:
    installed("mine", {"rnn2vec.losses half": "half"}, HALF)
    assert set(losses.distances("continuous")) == {"mse", "half"}
    with pytest.raises(UsageError, match="unknown loss for categorical outputs 'half'"):
        losses.distance("half", "categorical")


def test_a_built_in_name_is_not_replaced(installed: Install) -> None:
    installed("mine", {"rnn2vec.task_families formal-languages": "Palindromes"}, PALINDROMES)
    assert FAMILIES["formal-languages"] is FormalLanguages
    with pytest.raises(UsageError, match=r"'formal-languages' is built in\n.*another name"):
        FAMILIES.register("formal-languages", FormalLanguages)


def test_a_broken_package_is_named_and_does_not_affect_the_others(installed: Install) -> None:
    installed("broken", {"rnn2vec.losses bad": "x"}, "raise ImportError('no such thing')")
    installed("mine", {"rnn2vec.losses half": "half"}, HALF)
    assert LOSSES["half"].output_kind == "continuous"
    words = "'bad' of the package broken cannot be loaded: ImportError: no such thing\n.*uninstall"
    with pytest.raises(DataError, match=words):
        _ = LOSSES["bad"]
    with pytest.warns(UserWarning, match=words):
        assert set(losses.distances("continuous")) == {"mse", "half"}


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("Mean = 3", "is 3, which is no rnn2vec.encoders.base.WeightEncoder"),
        ("class Mean: pass", "which is no rnn2vec.encoders.base.WeightEncoder"),
        ("from rnn2vec.encoders.base import TaskBlindEncoder as Mean", "calls itself 'task-blind'.*as 'mean'"),
        ("", "AttributeError"),
    ],
)
def test_what_is_no_encoder_is_refused(installed: Install, code: str, words: str) -> None:
    installed("mine", {"rnn2vec.encoders mean": "Mean"}, code)
    with pytest.raises(DataError, match=words):
        _ = ENCODERS["mean"]


def test_an_object_is_registered_for_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ENCODERS, "_registered", {})

    class Same(TaskBlindEncoder):
        name = "same"

    ENCODERS.register("same", Same)
    assert ENCODERS["same"] is Same
    assert list(ENCODERS)[-1] == "same"
    with pytest.raises(UsageError, match="calls itself 'same'"):
        ENCODERS.register("other", Same)


def test_help_lists_registered_names_without_loading_anything(installed: Install) -> None:
    points = {"rnn2vec.encoders mean": "x", "rnn2vec.losses half": "x", "rnn2vec.task_families palindromes": "x"}
    folder = installed("mine", points, "raise ImportError('loaded')")
    code = (
        "import sys, rnn2vec.cli\n"
        "try: rnn2vec.cli.main(sys.argv[1:])\n"
        "finally: assert 'torch' not in sys.modules and 'mine' not in sys.modules"
    )
    texts = {
        verb: _run([sys.executable, "-c", code, *verb.split(), "--help"], folder) for verb in ("zoo build", "pretrain")
    }
    assert "palindromes" in texts["zoo build"]
    assert all(name in texts["pretrain"] for name in ("mean", "half", "dwsnet-complete", "reverse-kl"))


def _run(command: list[str], folder: Path) -> str:
    paths = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": paths, "COLUMNS": "200"}
    )
    return re.sub(r"\s+", " ", done.stdout)
