"""What RNNs are trained on: task families, behind one contract and one registry.

A third party registers a family through the entry-point group `rnn2vec.task_families`: the name is the
family's name, the object a `TaskFamily` class.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from typing import Any

from rnn2vec._errors import UsageError, unknown_name
from rnn2vec.tasks.base import TaskFamily
from rnn2vec.tasks.formal_languages import FormalLanguages

_BUILT_IN: dict[str, type[TaskFamily]] = {FormalLanguages.name: FormalLanguages}


def families() -> dict[str, type[TaskFamily]]:
    """Every task family by name: the built-in ones, and those that installed packages register."""
    points = importlib.metadata.entry_points(group="rnn2vec.task_families")
    return {**{point.name: point.load() for point in points}, **_BUILT_IN}


def build(name: str, options: Mapping[str, Any] | None = None) -> TaskFamily:
    """Make a task family by name.

    Args:
        name: such as `"formal-languages"`.
        options: keyword arguments of the family; its own defaults are the paper's.

    Raises:
        UsageError: there is no such family, or it has no such option.
    """
    known = families()
    if name not in known:
        raise unknown_name("task family", name, known)
    try:
        return known[name](**(options or {}))
    except TypeError as error:
        raise UsageError(
            f"options {dict(options or {})} of {name}: {error}", remedy="leave the unknown ones out."
        ) from error
