"""Markdown, for the documentation and the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[object]], *, numbers_right: bool = False) -> str:
    """A table; None is shown as a dash.

    Args:
        head: names of the columns.
        rows: what stands in each row.
        numbers_right: write all columns but the first to the right.
    """
    rule = ["---"] + ["---:" if numbers_right else "---"] * (len(head) - 1)
    lines = [head, rule, *([_cell(value) for value in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
