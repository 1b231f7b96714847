"""Exact search is exact where it is hard: near-duplicates, ties, few rows. faiss finds nearly all."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnn2vec._errors import UsageError
from rnn2vec.index.search import ExactSearch, FaissSearch


@given(
    number=st.integers(1, 60),
    size=st.integers(1, 5),
    asked=st.integers(1, 70),
    seed=st.integers(0, 99),
    scale=st.sampled_from([1e-3, 1.0, 1e4]),
)
def test_it_finds_what_a_slow_search_finds(number: int, size: int, asked: int, seed: int, scale: float) -> None:
    generator = np.random.default_rng(seed)
    vectors = (scale * generator.normal(size=(number, size))).astype(np.float32)
    queries = (scale * generator.normal(size=(3, size))).astype(np.float32)
    slow = np.linalg.norm(vectors.astype(np.float64)[None] - queries[:, None], axis=2)
    distances, rows = ExactSearch(vectors).nearest(queries, asked)
    np.testing.assert_allclose(distances, np.sort(slow, axis=1)[:, :asked], rtol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(slow, rows, axis=1), distances, rtol=1e-6)


def test_near_duplicates_keep_their_order_far_from_the_origin() -> None:
    """|q|^2 + |v|^2 - 2 q.v in single precision cannot tell these apart."""
    vectors = np.full((30, 4), 100.0, dtype=np.float32)
    vectors[:, 0] += np.arange(30) * 1e-4
    distances, rows = ExactSearch(vectors).nearest(vectors[:1], 5)
    assert rows[0, 0] == 0
    assert (np.diff(distances[0]) >= 0).all()
    np.testing.assert_allclose(distances[0], np.abs(vectors[rows[0], 0] - vectors[0, 0]), atol=1e-12)


def test_of_equal_distances_the_earlier_row_is_first() -> None:
    _, rows = ExactSearch(np.zeros((40, 2), dtype=np.float32)).nearest(np.zeros((1, 2)), 3)
    assert rows.tolist() == [sorted(rows[0])]


def test_filters_leave_rows_out() -> None:
    vectors = np.arange(100, dtype=np.float32)[:, None]
    allowed = np.arange(100) % 10 == 3
    for search in (ExactSearch(vectors), FaissSearch(vectors)):
        distances, rows = search.nearest(np.array([[40.0]]), 3, allowed)
        assert rows.tolist() == [[43, 33, 53]]
        assert distances.tolist() == [[3, 7, 13]]
        assert search.nearest(np.array([[40.0]]), 99, allowed)[1].shape == (1, 10)


def test_faiss_finds_at_least_95_of_100() -> None:
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(5000, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    exact = ExactSearch(vectors).nearest(vectors[:100], 10)[1]
    nearly = FaissSearch(vectors).nearest(vectors[:100], 10)[1]
    recall = np.mean([len(set(one) & set(other)) / 10 for one, other in zip(exact, nearly, strict=True)])
    assert recall >= 0.95


def test_without_faiss_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(UsageError, match=r"faiss is not installed\n.*pip install 'rnn2vec\[faiss\]'"):
        FaissSearch(np.zeros((1, 2), dtype=np.float32))
