"""Typographic forms of numbers and languages, and Markdown tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

from rnn2vec._text import markdown

_MINUS = "\N{MINUS SIGN}"


def language_html(text: str) -> Markup:
    """Convert the exponents of a language, as in `a^n b^(n+1)`, to HTML superscripts; other characters are escaped."""
    raised = re.sub(r"\^(?:\(([\w+-]+)\)|(\w+))", r"<sup>\1\2</sup>", str(escape(text)))
    return Markup(raised.replace("-", _MINUS))  # noqa: S704 (escaped above)


def number_text(value: float | None, digits: int = 3) -> str:
    """Format a number with the given number of digits after the point, or None as a dash."""
    return "\N{EN DASH}" if value is None else f"{value:.{digits}f}".replace("-", _MINUS)


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[object]], *, numbers_right: bool = False) -> str:
    """Format a table; None is shown as a dash, and whole numbers with thousands separators.

    Args:
        head: column titles.
        rows: cells of each row.
        numbers_right: right-align all columns except the first.
    """
    rule = ["---"] + ["---:" if numbers_right else "---"] * (len(head) - 1)
    lines = [head, rule, *([_cell(value) for value in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def optional(value: float | None, style: str) -> str | None:
    """Format a number, or return None for None, which a table shows as a dash.

    Args:
        value: the number.
        style: format specification, such as `.3f`.
    """
    return None if value is None else format(value, style)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return markdown(str(value), keep="*`")
