"""Task families by name."""

from __future__ import annotations

import pytest

from rnn2vec import tasks
from rnn2vec._errors import UsageError
from rnn2vec.tasks.formal_languages import FormalLanguages


def test_the_default_options_are_the_papers() -> None:
    assert tasks.build("formal-languages") == FormalLanguages()


def test_an_unknown_family_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"unknown task family 'formal-language'\n.*did you mean 'formal-languages'"):
        tasks.build("formal-language")


def test_an_unknown_option_is_named_and_all_are_listed() -> None:
    with pytest.raises(UsageError, match=r"'alphabet'.*of formal-languages(.|\n)*known: alphabet_size, smallest_o"):
        tasks.build("formal-languages", {"alphabet": 3})
