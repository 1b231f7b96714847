"""Text from files, made safe to print: what a terminal would act on or hide becomes visible."""

from __future__ import annotations

import unicodedata

_ACTED_ON = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories of control characters, formats (bidirectional marks among them), surrogates and separators."""


def visible(text: str, *, keep: str = "") -> str:
    r"""Return text with control characters, line breaks and bidirectional marks written out, such as `\x1b` or `\n`.

    Args:
        text: such as a name from a file.
        keep: characters that stay as they are.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(one if one in keep or unicodedata.category(one) not in _ACTED_ON else _written(one) for one in text)


def _written(character: str) -> str:
    return ascii(character)[1:-1]


def markdown(text: str, *, keep: str = "") -> str:
    """Return text as Markdown that shows it literally: no HTML, links, emphasis or table cells of its own.

    Args:
        text: such as a name from a file.
        keep: punctuation that keeps its meaning.
    """
    return "".join(f"\\{one}" if one in "\\`[]<>|*" and one not in keep else one for one in visible(text))
