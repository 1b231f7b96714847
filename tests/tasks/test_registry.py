"""Families by name: the built-in ones, and those of other packages."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from rnn2vec import tasks
from rnn2vec._errors import UsageError
from rnn2vec.tasks.formal_languages import FormalLanguages
from rnn2vec.tasks.tiled_mnist import TiledMnist


@dataclass(frozen=True)
class Palindromes(FormalLanguages):
    """A family from elsewhere."""

    name: ClassVar[str] = "palindromes"


class EntryPoint:
    """As `importlib.metadata` hands out."""

    def __init__(self, name: str, load: Callable[[], Any]) -> None:
        self.name, self.load = name, load


def _broken() -> Any:
    raise ImportError("a package that is broken")


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`register(palindromes=loader)`: what installed packages register."""

    def do(**loaders: Callable[[], Any]) -> None:
        points = [EntryPoint(name, load) for name, load in loaders.items()]
        monkeypatch.setattr(
            importlib.metadata, "entry_points", lambda *, group: points if group == "rnn2vec.task_families" else []
        )

    return do


def test_the_built_in_families_are_there() -> None:
    assert tasks.families() == {"formal-languages": FormalLanguages, "tiled-mnist": TiledMnist}
    assert tasks.build("formal-languages") == FormalLanguages()


def test_a_family_of_another_package_is_found_by_its_name(register: Callable[..., None]) -> None:
    register(palindromes=lambda: Palindromes)
    assert set(tasks.families()) == {"formal-languages", "tiled-mnist", "palindromes"}
    assert tasks.build("palindromes", {"n_max": 5}) == Palindromes(n_max=5)


def test_nobody_takes_the_place_of_a_built_in_family(register: Callable[..., None]) -> None:
    register(**{"formal-languages": lambda: Palindromes})
    assert tasks.families()["formal-languages"] is FormalLanguages
    assert type(tasks.build("formal-languages")) is FormalLanguages


def test_a_broken_package_stands_in_nobodys_way(register: Callable[..., None]) -> None:
    register(broken=_broken, palindromes=lambda: Palindromes)
    assert type(tasks.build("palindromes")) is Palindromes
    with pytest.raises(ImportError, match="a package that is broken"):
        tasks.build("broken")


def test_an_unknown_family_suggests_the_nearest(register: Callable[..., None]) -> None:
    register(palindromes=lambda: Palindromes)
    with pytest.raises(UsageError, match=r"unknown task family 'palindrome'\n.*did you mean 'palindromes'\? Known: "):
        tasks.build("palindrome")


def test_an_unknown_option_is_named_and_all_are_listed() -> None:
    with pytest.raises(UsageError, match=r"'alphabet'.*of formal-languages(.|\n)*there are: alphabet_size, smallest_o"):
        tasks.build("formal-languages", {"alphabet": 3})
