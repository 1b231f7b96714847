"""Nearest vectors, exactly or nearly, behind one protocol.

Exact search is one matrix product: |q - v|^2 = |q|^2 + |v|^2 - 2 q.v. The difference of large numbers leaves few
digits where vectors are close, and near-duplicates are just there: so a few candidates more than asked for are chosen
by it, and their distances are computed again from the differences. For millions there is faiss's navigable
small-world graph (extra `faiss`), which looks at a few hundred vectors and misses some.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from rnn2vec._errors import UsageError

Vectors = Float[np.ndarray, "N Z"]
Queries = Float[np.ndarray, "Q Z"]
Found = tuple[Float[np.ndarray, "Q k"], Int[np.ndarray, "Q k"]]
"""Distances, the smallest first, and rows."""

_MORE_CANDIDATES = 16
_NUMBERS_AT_ONCE = 4_000_000  # 16 MB of distances: they stay in cache


@runtime_checkable
class Search(Protocol):
    """Finds the rows whose vectors are nearest."""

    def nearest(self, queries: Queries, number: int, allowed: Bool[np.ndarray, " N"] | None = None) -> Found:
        """Find the nearest rows of each query by Euclidean distance: `number` of them, or all that are allowed."""
        ...


class ExactSearch:
    """Looks at every vector.

    Args:
        vectors: what is searched.
    """

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        self._halved = np.square(self._vectors).sum(axis=1) / 2

    def nearest(self, queries: Queries, number: int, allowed: Bool[np.ndarray, " N"] | None = None) -> Found:
        """See `Search.nearest`."""
        rows = np.arange(len(self._vectors)) if allowed is None else np.flatnonzero(allowed)
        vectors, halved = (self._vectors, self._halved) if allowed is None else self._chosen(rows)
        number = min(number, len(rows))
        per_query = max(1, len(rows), min(number + _MORE_CANDIDATES, len(rows)) * self._vectors.shape[1])
        per_batch = max(1, _NUMBERS_AT_ONCE // per_query)
        parts = [
            _exactly(vectors, halved, queries[start : start + per_batch].astype(np.float32), number)
            for start in range(0, len(queries), per_batch)
        ]
        distances = np.concatenate([part for part, _ in parts])
        return distances, rows[np.concatenate([part for _, part in parts])]

    def _chosen(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._vectors[rows], self._halved[rows]


def _exactly(vectors: np.ndarray, halved: np.ndarray, queries: np.ndarray, number: int) -> tuple[np.ndarray, ...]:
    roughly = halved - queries @ vectors.T  # half the squared distance, without |q|^2, which is the same for all
    count = min(number + _MORE_CANDIDATES, len(vectors))
    chosen = np.arange(len(vectors))[None].repeat(len(queries), axis=0)
    if count < len(vectors):
        chosen = np.argpartition(roughly, count - 1, axis=1)[:, :count]
    differences = vectors[chosen].astype(np.float64) - queries[:, None]
    distances = np.sqrt(np.square(differences).sum(axis=2))
    order = np.lexsort((chosen, distances), axis=1)[:, :number]  # equal distances: the earlier row first
    return np.take_along_axis(distances, order, axis=1), np.take_along_axis(chosen, order, axis=1)


class FaissSearch:
    """A navigable small-world graph (HNSW) by faiss.

    Args:
        vectors: what is searched.
        links: neighbours that each vector is linked to.
        effort: candidates that are kept while searching; more find more and take longer.

    Raises:
        UsageError: if faiss is not installed.
    """

    def __init__(self, vectors: Vectors, *, links: int = 32, effort: int = 128) -> None:
        try:
            import faiss  # noqa: PLC0415
        except ImportError as error:
            raise UsageError("faiss is not installed", remedy="pip install 'rnn2vec[faiss]'.") from error
        self._faiss: Any = faiss
        self._effort = effort
        self._index: Any = faiss.IndexHNSWFlat(vectors.shape[1], links)
        self._index.hnsw.efConstruction = effort
        self._index.add(np.ascontiguousarray(vectors, dtype=np.float32))

    def nearest(self, queries: Queries, number: int, allowed: Bool[np.ndarray, " N"] | None = None) -> Found:
        """See `Search.nearest`. Where the graph finds fewer than asked for, the rest have distance infinity and row -1.

        This happens under filters that few rows pass.
        """
        most = self._index.ntotal if allowed is None else int(allowed.sum())
        options: dict[str, Any] = {"efSearch": max(self._effort, 2 * number)}
        if allowed is not None:
            options["sel"] = self._faiss.IDSelectorBatch(np.flatnonzero(allowed).astype(np.int64))
        parameters = self._faiss.SearchParametersHNSW(**options)
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        squared, rows = self._index.search(queries, min(number, most), params=parameters)
        return np.sqrt(np.where(rows < 0, np.inf, squared)), rows


SEARCHES: dict[str, Callable[[np.ndarray], Search]] = {"exact": ExactSearch, "faiss": FaissSearch}
"""Ways to search by name."""
