"""Conditions on properties: `step=1000`, `performance >= 0.9`, `split=train,validation`.

One comparison each; several must all hold. The command line, `Zoo.where`, `Index.where` and `zoo filter` share this
language. A query language was rejected: Parquet files beside a zoo open in any tool that has one.

An equality that no row meets is an error, because it is nearly always a typing mistake: `step=201` in a zoo of steps
0, 200 and 400 would otherwise choose nothing, silently.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
from jaxtyping import Bool

from rnn2vec._errors import UsageError, unknown_name

pc: Any = pyarrow.compute  # generated at import, so its functions are unknown to type checkers

_ORDERINGS = {"<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal"}
_FORM = re.compile(r"\s*(.+?)\s*(<=|>=|!=|==|=|<|>)\s*(.*?)\s*")
_SHOWN = 8


@dataclass(frozen=True)
class Condition:
    """A comparison of a property with a value; a row without that property meets no condition."""

    column: str
    """Property name."""
    comparison: str
    """Comparison sign: `<`, `<=`, `=`, `!=`, `>=` or `>`."""
    value: Any
    """Value, or text that is read as the property's type; for `=` and `!=` also a list, or text with commas."""

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Read a condition such as `"step >= 1000"`.

        Raises:
            UsageError: if the text is not a comparison.
        """
        match = _FORM.fullmatch(text)
        if match is None or not match[3]:
            raise UsageError(
                f"{text!r} is not a condition",
                remedy="write PROPERTY, one of < <= = != >= >, and a value: 'step >= 1000'.",
            )
        return cls(match[1], "=" if match[2] == "==" else match[2], match[3])

    def mask(self, column: pa.ChunkedArray) -> Bool[np.ndarray, " N"]:
        """Return which values of a column meet the condition.

        Raises:
            UsageError: if the value is not of the column's type, or an equality names a value that no row has.
        """
        if self.comparison in _ORDERINGS:
            met = pc.call_function(_ORDERINGS[self.comparison], [column, self._scalar(self.value, column.type)])
        else:
            met = pc.is_in(column, value_set=pa.array([one.as_py() for one in self._values(column)], column.type))
            met = pc.and_(pc.is_valid(column), pc.invert(met) if self.comparison == "!=" else met)
        return pc.fill_null(met, False).to_numpy(zero_copy_only=False).astype(bool)

    def _values(self, column: pa.ChunkedArray) -> list[pa.Scalar]:
        """Return the values of an equality, each of which some row has."""
        if isinstance(self.value, str) and pa.types.is_string(column.type) and _has(column, pa.scalar(self.value)):
            return [pa.scalar(self.value)]  # a text with commas in it
        parts = self.value.split(",") if isinstance(self.value, str) else np.atleast_1d(self.value).tolist()
        values = [self._scalar(part, column.type) for part in parts]
        for part, value in zip(parts, values, strict=True):
            if not _has(column, value):
                raise UsageError(f"no RNN has {self.column} = {str(part).strip()}", remedy=_choices(column))
        return values

    def _scalar(self, value: Any, kind: pa.DataType) -> pa.Scalar:
        """Return a value as the column's type; a number keeps its fraction where an ordering compares it."""
        is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        try:
            if not is_number:
                return pa.scalar(value.strip() if isinstance(value, str) else value).cast(kind)
            number = float(value)
            is_whole = pa.types.is_integer(kind) and number.is_integer()
            return pa.scalar(int(number), kind) if is_whole else pa.scalar(number, pa.float64())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, TypeError, ValueError) as error:
            raise UsageError(
                f"{self.column} {self.comparison} {value}: {self.column} is of type {kind}",
                remedy="compare it with a value of that type.",
            ) from error


def matching(
    table: pa.Table, conditions: Iterable[str | Condition] = (), equal: Mapping[str, Any] | None = None
) -> Bool[np.ndarray, " N"]:
    """Return which rows of a table meet every condition.

    Args:
        table: properties, a row for each RNN.
        conditions: such as `"performance > 0.9"`.
        equal: properties with the value, or the list of values, that they must have.

    Raises:
        UsageError: if a condition cannot be read, a property is unknown, or an equality names a value that no row has.
    """
    parsed = [Condition.parse(one) if isinstance(one, str) else one for one in conditions]
    parsed += [Condition(name, "=", value) for name, value in (equal or {}).items()]
    chosen = np.ones(table.num_rows, dtype=bool)
    for condition in parsed:
        if condition.column not in table.column_names:
            raise unknown_name("property", condition.column, table.column_names)
        chosen &= condition.mask(table.column(condition.column))
    return chosen


def _has(column: pa.ChunkedArray, value: pa.Scalar) -> bool:
    return pc.any(pc.equal(column, value)).as_py() is True


def _choices(column: pa.ChunkedArray) -> str:
    """Describe the values of a column: all of a few, else their range or some."""
    values = [value for value in pc.unique(column).to_pylist() if value is not None]
    values = sorted(values) if len(values) <= 10_000 else values
    if len(values) <= _SHOWN:
        return f"there are: {', '.join(map(str, values)) or 'none'}."
    if isinstance(values[0], str):
        return f"there are {len(values):,} values, such as {', '.join(map(str, values[:_SHOWN]))}."
    ends = pc.min_max(column).as_py()
    return f"values go from {ends['min']} to {ends['max']}; compare with < or >."
