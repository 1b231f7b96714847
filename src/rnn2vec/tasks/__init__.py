"""Task families: what RNNs are trained on. `base` is the contract; `build` makes a family by name.

Examples:
    >>> family = tasks.build("formal-languages", {"alphabet_size": 3})
    >>> family.output_size
    5
    >>> family.describe((1, -1))
    'a^n b^(n+1) c^(n-1)'
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from rnn2vec._errors import UsageError
from rnn2vec._registry import FAMILIES
from rnn2vec.tasks.base import TaskFamily

__all__ = ["FAMILIES", "build"]


def build(name: str, options: Mapping[str, Any] | None = None) -> TaskFamily:
    """Build a task family.

    Args:
        name: a registered name, such as `"formal-languages"`.
        options: keyword arguments of the family; its own defaults are the paper's.

    Raises:
        UsageError: if the family is unknown, or has no such option.
    """
    family: type[TaskFamily] = FAMILIES[name]
    try:
        return family(**(options or {}))
    except TypeError as error:
        known = ", ".join(field.name for field in dataclasses.fields(family) if field.init)
        raise UsageError(f"options {dict(options or {})} of {name}: {error}", remedy=f"known: {known}.") from error
