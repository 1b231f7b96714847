"""Typographic forms of languages and numbers."""

from __future__ import annotations

import pytest

from rnn2vec.report.text import language_html, number_text
from rnn2vec.tasks.formal_languages import Language


def test_exponents_are_raised() -> None:
    text = language_html(str(Language((0, 1, -3, 0))))
    assert text == "a<sup>n</sup> b<sup>n+1</sup> c<sup>n\N{MINUS SIGN}3</sup> d<sup>n</sup>"


def test_what_is_no_language_is_escaped() -> None:
    assert language_html("<b>") == "&lt;b&gt;"


@pytest.mark.parametrize(
    ("value", "text"), [(0.12345, "0.123"), (-1.5, "\N{MINUS SIGN}1.500"), (None, "\N{EN DASH}"), (0.0, "0.000")]
)
def test_numbers_have_three_digits(value: float | None, text: str) -> None:
    assert number_text(value) == text
