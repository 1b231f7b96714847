"""What RNNs are trained on: task families, behind one contract and one registry.

A third party registers a family through the entry-point group `rnn2vec.task_families`: the name is the
family's name, the object a `TaskFamily` class.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections.abc import Mapping
from typing import Any

from rnn2vec._errors import UsageError, unknown_name
from rnn2vec.tasks.base import TaskFamily
from rnn2vec.tasks.formal_languages import FormalLanguages
from rnn2vec.tasks.tiled_mnist import TiledMnist

_BUILT_IN: dict[str, type[TaskFamily]] = {FormalLanguages.name: FormalLanguages, TiledMnist.name: TiledMnist}


def families() -> dict[str, type[TaskFamily]]:
    """Every task family by name: the built-in ones, and those that installed packages register."""
    return {**{name: point.load() for name, point in _registered().items()}, **_BUILT_IN}


def _registered() -> dict[str, importlib.metadata.EntryPoint]:
    """What installed packages register, not loaded: one that is broken must not stand in the way of the others."""
    return {point.name: point for point in importlib.metadata.entry_points(group="rnn2vec.task_families")}


def build(name: str, options: Mapping[str, Any] | None = None) -> TaskFamily:
    """Make a task family by name.

    Args:
        name: such as `"formal-languages"`.
        options: keyword arguments of the family; its own defaults are the paper's.

    Raises:
        UsageError: there is no such family, or it has no such option.
    """
    registered = _registered()
    if name not in {*registered, *_BUILT_IN}:
        raise unknown_name("task family", name, {*registered, *_BUILT_IN})
    family: type[TaskFamily] = _BUILT_IN[name] if name in _BUILT_IN else registered[name].load()
    try:
        return family(**(options or {}))
    except TypeError as error:
        options_there_are = ", ".join(field.name for field in dataclasses.fields(family) if field.init)
        raise UsageError(
            f"options {dict(options or {})} of {name}: {error}", remedy=f"there are: {options_there_are}."
        ) from error
