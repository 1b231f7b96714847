"""Typographic forms of numbers and languages."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

_MINUS = "\N{MINUS SIGN}"


def language_html(text: str) -> Markup:
    """Convert the exponents of a language, as in `a^n b^(n+1)`, to HTML superscripts; other characters are escaped."""
    raised = re.sub(r"\^(?:\(([\w+-]+)\)|(\w+))", r"<sup>\1\2</sup>", str(escape(text)))
    return Markup(raised.replace("-", _MINUS))  # noqa: S704 (escaped above)


def number_text(value: float | None, digits: int = 3) -> str:
    """Format a number with the given number of digits after the point, or None as a dash."""
    return "\N{EN DASH}" if value is None else f"{value:.{digits}f}".replace("-", _MINUS)
