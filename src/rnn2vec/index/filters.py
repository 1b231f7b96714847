"""Conditions on properties, as people type them: `performance > 0.9`."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool

from rnn2vec._errors import UsageError, unknown_name

_COMPARISONS = {
    "<=": "less_equal",
    ">=": "greater_equal",
    "!=": "not_equal",
    "==": "equal",
    "=": "equal",
    "<": "less",
    ">": "greater",
}
"""pyarrow's functions."""
_FORM = re.compile(r"\s*(.+?)\s*(<=|>=|!=|==|=|<|>)\s*(.*?)\s*")


@dataclass(frozen=True)
class Condition:
    """A comparison of a property with a value. A property that is not known of an RNN meets none."""

    column: str
    """The property."""
    comparison: str
    """One of `<`, `<=`, `=`, `!=`, `>=`, `>`."""
    value: str
    """As text; it is read as the property's type."""

    def mask(self, table: pa.Table, columns: list[str]) -> Bool[np.ndarray, " N"]:
        """Which rows of a table meet it.

        Raises:
            UsageError: there is no such property, or the value is not of its type.
        """
        if self.column not in columns:
            raise unknown_name("property", self.column, columns)
        values = table.column(self.column)
        try:
            value = pa.scalar(self.value).cast(values.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise UsageError(
                f"{self.column} {self.comparison} {self.value}: {self.column} is of type {values.type}",
                remedy="compare it with a value of that type.",
            ) from error
        met = pc.call_function(_COMPARISONS[self.comparison], [values, value])
        return pc.fill_null(met, False).to_numpy().astype(bool)


def parse(text: str) -> Condition:
    """Read a condition.

    Raises:
        UsageError: it is none.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{text!r} is not a condition", remedy="write PROPERTY, one of < <= = != >= >, and a value: 'step >= 1000'."
        )
    return Condition(*match.groups())
