"""Text from files, made safe to print: what a terminal would act on or hide becomes visible."""

from __future__ import annotations

import re
import unicodedata

_ACTED_ON = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories of control characters, formats (bidirectional marks among them), surrogates and separators."""
_SUSPECT = re.compile(r"[^ -~]")
"""Characters whose category is looked up: all but those of printable ASCII, of which a text may have millions."""


def visible(text: str, *, keep: str = "") -> str:
    r"""Return text with control characters, line breaks and bidirectional marks written out, such as `\x1b` or `\n`.

    Args:
        text: such as a name from a file.
        keep: characters that stay as they are.
    """
    if text.isprintable():
        return text
    return _SUSPECT.sub(lambda found: found[0] if found[0] in keep else _written(found[0]), text)


def _written(character: str) -> str:
    return ascii(character)[1:-1] if unicodedata.category(character) in _ACTED_ON else character


def markdown(text: str, *, keep: str = "") -> str:
    """Return text as Markdown that shows it literally: no HTML, links, emphasis or table cells of its own.

    Args:
        text: such as a name from a file.
        keep: punctuation that keeps its meaning.
    """
    return "".join(f"\\{one}" if one in "\\`[]<>|*" and one not in keep else one for one in visible(text))
