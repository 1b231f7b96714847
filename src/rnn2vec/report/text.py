"""Numbers and languages as a reader of HTML wants to see them."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

_MINUS = "\N{MINUS SIGN}"


def language_html(text: str) -> Markup:
    """`a^n b^(n+1)` with real superscripts."""
    raised = re.sub(r"\^(?:\(([\w+-]+)\)|(\w+))", r"<sup>\1\2</sup>", str(escape(text)))
    return Markup(raised.replace("-", _MINUS))  # noqa: S704 (escaped above)


def number_text(value: float | None, digits: int = 3) -> str:
    """A number with so many digits after the point; a dash for none."""
    return "\N{EN DASH}" if value is None else f"{value:.{digits}f}".replace("-", _MINUS)
