"""What every test gets: one thread, the same examples and the same random numbers each time."""

from __future__ import annotations

import jaxtyping
import pytest
import torch
from hypothesis import settings

settings.register_profile("rnn2vec", derandomize=True, deadline=None, max_examples=30)
settings.load_profile("rnn2vec")
torch.set_num_threads(1)


@pytest.fixture
def generator() -> torch.Generator:
    """A source of random numbers that starts afresh in every test."""
    return torch.Generator().manual_seed(20240721)


@pytest.fixture
def without_type_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What users have: values that fit no annotation reach the library, and its own errors answer."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
