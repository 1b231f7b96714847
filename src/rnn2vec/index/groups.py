"""RNNs that belong together: near-duplicates, and clusters with a summary that can be read.

Clusters are k-means', whose number is the one with the best silhouette: every RNN is in one, and each has a most
typical member. Density-based clusters (HDBSCAN) leave many RNNs in none and took minutes at 100,000.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from rnn2vec._errors import UsageError
from rnn2vec._seeding import numpy_generator

_PAIRS = 1000
_NEAR = 0.05
_MOST_CLUSTERS = 12
_SAMPLE = 2000
_MOST_CATEGORIES = 20


def typical_distance(vectors: Float[np.ndarray, "N Z"], *, seed: int = 0) -> float:
    """Estimate the median distance between two RNNs drawn at random."""
    generator = numpy_generator(seed, "pairs")
    one, other = generator.integers(len(vectors), size=(2, _PAIRS))
    apart = np.linalg.norm(vectors[one] - vectors[other], axis=1)[one != other]
    return float(np.median(apart)) if len(apart) else 0.0


def duplicates(vectors: Float[np.ndarray, "N Z"], within: float | None = None) -> list[Int[np.ndarray, " M"]]:
    """Find groups of near-duplicates: RNNs linked by distances of at most `within`, the largest group first.

    Args:
        vectors: vectors of all RNNs.
        within: maximum distance; by default a twentieth of the median distance between two RNNs.

    Raises:
        UsageError: if the distance is negative.
    """
    from scipy.sparse import coo_array  # noqa: PLC0415
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415
    from scipy.spatial import KDTree  # noqa: PLC0415

    within = _NEAR * typical_distance(vectors) if within is None else within
    if within < 0:
        raise UsageError(f"near-duplicates within {within}", remedy="give a distance of 0 or more.")
    # Equal vectors are one point: a thousand copies would be half a million pairs.
    points, place = np.unique(vectors, axis=0, return_inverse=True)
    pairs = KDTree(points).query_pairs(within, output_type="ndarray")
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(points), len(points)))
    group = connected_components(links, directed=False)[1][place.reshape(-1)]
    order = np.argsort(group, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    return sorted((members for members in groups if len(members) > 1), key=len, reverse=True)


@dataclass(frozen=True)
class Cluster:
    """RNNs that lie together."""

    rows: Int[np.ndarray, " M"]
    """Row numbers of the members, the most typical one first."""
    traits: tuple[str, ...]
    """Properties in which they differ most from all RNNs, in words."""


def clusters(
    vectors: Float[np.ndarray, "N Z"],
    properties: Mapping[str, pa.ChunkedArray],
    number: int | None = None,
    seed: int = 0,
) -> list[Cluster]:
    """Divide RNNs into clusters, the largest first.

    Args:
        vectors: of all RNNs.
        properties: columns that the summaries may use.
        number: of clusters; by default the one with the best silhouette among 2 to 12.
        seed: where k-means begins.

    Raises:
        UsageError: if there are fewer RNNs than clusters, or fewer than 3.
    """
    if len(vectors) < max(3, number or 0):
        raise UsageError(f"{number or 'some'} clusters of {len(vectors)} RNNs", remedy="give more RNNs.")
    number = _best_number(vectors, seed) if number is None else number
    fitted = _k_means(vectors, number, seed)
    from_centre = np.linalg.norm(vectors - fitted.cluster_centers_[fitted.labels_], axis=1)
    found: list[Cluster] = []
    for label in range(number):
        rows = np.flatnonzero(fitted.labels_ == label)
        rows = rows[np.argsort(from_centre[rows], kind="stable")]
        found.append(Cluster(rows, _traits(rows, properties)))
    return sorted(found, key=lambda cluster: len(cluster.rows), reverse=True)


def _k_means(vectors: np.ndarray, number: int, seed: int) -> Any:
    from sklearn.cluster import KMeans  # noqa: PLC0415

    starts: Any = 4
    return KMeans(number, n_init=starts, random_state=seed).fit(vectors)


def _best_number(vectors: np.ndarray, seed: int) -> int:
    from sklearn.metrics import silhouette_score  # noqa: PLC0415

    generator = numpy_generator(seed, "cluster sample")
    sample = vectors[generator.permutation(len(vectors))[:_SAMPLE]]
    distinct = len(np.unique(sample, axis=0))
    scores: dict[int, float] = {}
    for number in range(2, min(_MOST_CLUSTERS, distinct - 1) + 1):
        scores[number] = float(silhouette_score(sample, _k_means(sample, number, seed).labels_))
    return max(scores, key=lambda number: scores[number], default=1)


def _traits(rows: np.ndarray, properties: Mapping[str, pa.ChunkedArray]) -> tuple[str, ...]:
    """Describe the three properties that best distinguish these rows from all."""
    described = [_trait(name, rows, column) for name, column in properties.items()]
    strongest = sorted((trait for trait in described if trait[0] > 0), reverse=True)
    return tuple(words for _, words in strongest[:3])


def _trait(name: str, rows: np.ndarray, column: pa.ChunkedArray) -> tuple[float, str]:
    """Measure how much a property differs in these rows, from 0 to about 1, and describe it."""
    values: Any = np.array(column.to_pylist(), dtype=object)
    known = np.array([value is not None for value in values])
    mine = rows[known[rows]]
    if not len(mine):
        return 0.0, ""
    if _is_number(column.type) and len(set(values[known])) > _MOST_CATEGORIES:
        numbers = values[known].astype(np.float64)
        here, spread = values[mine].astype(np.float64), float(numbers.std())
        strength = abs(here.mean() - numbers.mean()) / spread if spread else 0.0
        return min(1.0, strength / 2), f"{name} {here.mean():.3g} ± {here.std():.2g} (all: {numbers.mean():.3g})"
    kinds, counts = np.unique(values[mine].astype(str), return_counts=True)
    most = kinds[counts.argmax()]
    share, everywhere = counts.max() / len(mine), float((values[known].astype(str) == most).mean())
    return share - everywhere, f"{name} {most} for {share:.0%} (all: {everywhere:.0%})"


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_floating(kind) or pa.types.is_integer(kind)
