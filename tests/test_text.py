"""Text from files: nothing of it acts on a terminal or on a page."""

from __future__ import annotations

import pickle
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnn2vec._errors import DataError
from rnn2vec._text import markdown, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rnn.weight_ih_l0", "rnn.weight_ih_l0"),
        ("größe … 大", "größe … 大"),
        ("a\nrnn2vec: done", r"a\nrnn2vec: done"),
        ("\x1b[2J\x07", r"\x1b[2J\x07"),
        ("\u202egnp.exe\u200b", r"\u202egnp.exe\u200b"),
        ("a\u2028b\x85c", r"a\u2028b\x85c"),
    ],
)
def test_what_a_terminal_would_act_on_is_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text())
def test_visible_text_has_nothing_that_acts_and_stays_as_it_is(text: str) -> None:
    shown = visible(text)
    assert not {unicodedata.category(one) for one in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert visible(shown) == shown


def test_line_breaks_can_be_kept() -> None:
    assert visible("a\nb\rc", keep="\n") == "a\nb\\rc"


def test_markdown_is_shown_literally() -> None:
    hostile = "<script>x</script> [a](javascript:b) |c| *d* `e`\nf"
    escaped = r"\<script\>x\</script\> \[a\](javascript:b) \|c\| \*d\* \`e\`\\nf"
    assert markdown(hostile) == escaped
    assert markdown("**bold**", keep="*") == "**bold**"


def test_errors_are_one_line_each() -> None:
    error = DataError("no tensor 'a\nrnn2vec: all is well\x1b[1A'", remedy="give\nanother.")
    assert str(error) == "no tensor 'a\\nrnn2vec: all is well\\x1b[1A'\n  -> give\\nanother."


def test_lines_of_code_in_a_remedy_stay_lines() -> None:
    error = DataError("a pickle", remedy="save it anew:\n     save('a\x1b\n')\n     done()")
    assert error.remedy == "save it anew:\n     save('a\\x1b\\n')\n     done()"
    assert pickle.loads(pickle.dumps(error)).remedy == error.remedy
