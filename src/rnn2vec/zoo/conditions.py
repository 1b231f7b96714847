"""Conditions on properties as people type them: `step=1000`, `performance>=0.9`, `step=1000,2000`.

One comparison each; several must all hold. A whole query language was rejected: Parquet files beside the zoo open in
any tool that has one, and what it finds goes in as snapshot numbers.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from rnn2vec._errors import UsageError, unknown_name

_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_CONDITION = re.compile(r"\s*(\w+)\s*(<=|>=|!=|==|=|<|>)\s*(\S.*?)\s*")


def matching(zoo: Zoo, conditions: Iterable[str]) -> Int[np.ndarray, " M"]:
    """The snapshots for which every condition holds.

    Args:
        zoo: the zoo.
        conditions: each a property, one of `=`, `!=`, `<`, `<=`, `>`, `>=`, and a value; `=` and `!=` take several
            values with commas between them.

    Raises:
        UsageError: a condition that cannot be read, a property that is not there, or a value of another kind.
    """
    chosen = np.ones(len(zoo), dtype=bool)
    for condition in conditions:
        chosen &= _holds(zoo, condition)
    return np.flatnonzero(chosen)


def _holds(zoo: Zoo, condition: str) -> Bool[np.ndarray, " N"]:
    parsed = _CONDITION.fullmatch(condition)
    if parsed is None:
        raise UsageError(
            f"condition {condition!r} is no comparison",
            remedy="write it like step=1000 or performance>=0.9, in quotes.",
        )
    name, comparison, text = parsed.groups()
    names = zoo.properties.column_names
    if name not in names:
        raise unknown_name("property", name, names)
    column = zoo.column(name)
    if comparison in _COMPARISONS:
        return _COMPARISONS[comparison](column, _value(column, text, condition))
    equal = np.isin(column, [_value(column, one, condition) for one in text.split(",")])
    return ~equal if comparison == "!=" else equal


def _value(column: np.ndarray, text: str, condition: str) -> Any:
    """The text as a value of the column's kind."""
    if column.dtype.kind == "O":
        return text.strip()
    try:
        return float(text)
    except ValueError as error:
        raise UsageError(f"condition {condition!r} compares numbers with {text!r}", remedy="give a number.") from error
