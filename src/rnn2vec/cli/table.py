"""Tables for a terminal: columns that do not fit beside each other continue below, under the first column again."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rnn2vec._errors import unknown_name
from rnn2vec._text import visible

_GAP = 2
_LONGEST_CELL = 4096
"""Characters of a cell that are shown: those of the longest path."""


def table(head: Sequence[str], rows: Sequence[Sequence[Any]], *, width: int | None = None) -> str:
    """Return a table of columns as lines of text; None is shown as a dash.

    Args:
        head: names of the columns; the first one names the rows.
        rows: a value for each column.
        width: characters of a line; by default those of the terminal, and without limit in a pipe or a file.
    """
    cells = [[_cell(name) for name in head], *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(head))]
    blocks: list[list[int]] = [[]]
    room = (_terminal_width() if width is None else width) - widths[0]
    left = room
    for at in range(1, len(head)):
        if blocks[-1] and widths[at] + _GAP > left:
            blocks.append([])
            left = room
        blocks[-1].append(at)
        left -= widths[at] + _GAP
    return "\n\n".join("\n".join(_line(row, [0, *block], widths) for row in cells) for block in blocks)


def chosen_columns(properties: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Sequence[str]:
    """Return the chosen properties, or all that any row has.

    Raises:
        UsageError: a chosen column is not among the properties.
    """
    known = list(properties[0]) if properties else []
    for name in columns:
        if name not in known:
            raise unknown_name("column", name, known)
    return columns or [name for name in known if any(one[name] is not None for one in properties)]


def _line(row: Sequence[str], columns: Sequence[int], widths: Sequence[int]) -> str:
    return (" " * _GAP).join(row[at].ljust(widths[at]) for at in columns).rstrip()


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    text = str(value)
    return visible(text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}...")


def _terminal_width() -> int:
    is_terminal = sys.stdout is not None and sys.stdout.isatty()  # pyright: ignore[reportUnnecessaryComparison]
    return shutil.get_terminal_size().columns if is_terminal else sys.maxsize
