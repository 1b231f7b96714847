"""Task families of every kind that the tests need."""

from __future__ import annotations

import pytest

from rnn2vec.tasks.formal_languages import FormalLanguages


@pytest.fixture(scope="session")
def paper() -> FormalLanguages:
    """The paper's 216 languages."""
    return FormalLanguages()
