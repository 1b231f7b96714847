"""Near-duplicates and clusters: planted ones are found, and summaries say what was planted."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from rnn2vec._errors import UsageError
from rnn2vec.index.groups import clusters, duplicates, typical_distance


def blobs(generator: np.random.Generator, sizes: tuple[int, ...]) -> np.ndarray:
    centres = 10 * np.eye(len(sizes))
    return np.concatenate(
        [centre + 0.3 * generator.normal(size=(size, len(sizes))) for centre, size in zip(centres, sizes, strict=True)]
    ).astype(np.float32)


def test_planted_duplicates_are_found_and_nothing_else() -> None:
    vectors = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
    vectors[[50, 60, 70]] = vectors[5] + 1e-4
    vectors[9] = vectors[8]
    assert [group.tolist() for group in duplicates(vectors)] == [[5, 50, 60, 70], [8, 9]]
    assert [group.tolist() for group in duplicates(vectors, within=0.0)] == [[50, 60, 70], [8, 9]]


def test_a_chain_of_near_ones_is_one_group_and_many_copies_are_no_burden() -> None:
    chain = np.arange(5, dtype=np.float32)[:, None] * 0.9
    copies = np.full((20_000, 1), 100, dtype=np.float32)
    groups = duplicates(np.concatenate([chain, copies]), within=1.0)
    assert [len(group) for group in groups] == [20_000, 5]


def test_a_negative_distance_is_refused() -> None:
    with pytest.raises(UsageError, match=r"near-duplicates within -1\n"):
        duplicates(np.zeros((5, 2), dtype=np.float32), within=-1)


def test_the_typical_distance_is_that_of_random_pairs() -> None:
    vectors = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32)
    apart = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)[np.triu_indices(500, 1)]
    assert typical_distance(vectors) == pytest.approx(np.median(apart), rel=0.05)
    assert typical_distance(vectors[:1]) == 0


def test_planted_clusters_are_found_counted_and_described() -> None:
    generator = np.random.default_rng(1)
    sizes = (60, 40, 25)
    vectors = blobs(generator, sizes)
    kind = np.repeat(["sun", "moon", "star"], sizes)
    properties = {
        "kind": pa.chunked_array([pa.array(kind)]),
        "skill": pa.chunked_array([np.repeat([0.9, 0.1, 0.1], sizes) + 0.01 * generator.normal(size=125)]),
        "noise": pa.chunked_array([generator.normal(size=125)]),
    }
    found = clusters(vectors, properties)
    assert [len(cluster.rows) for cluster in found] == list(sizes)
    for cluster, name, share in zip(found, ("sun", "moon", "star"), ("48%", "32%", "20%"), strict=True):
        assert set(kind[cluster.rows]) == {name}
        assert f"kind {name} for 100% (all: {share})" in cluster.traits
        centre = vectors[cluster.rows].mean(axis=0)
        apart = np.linalg.norm(vectors[cluster.rows] - centre, axis=1)
        assert apart[0] == pytest.approx(apart.min(), rel=1e-3)
    assert "skill 0.901 ± 0.0089 (all: 0.485)" in found[0].traits, found[0].traits


def test_their_number_can_be_given() -> None:
    vectors = blobs(np.random.default_rng(1), (30, 30, 30))
    assert len(clusters(vectors, {}, number=2)) == 2
    assert clusters(vectors, {}, number=2)[0].traits == ()
    with pytest.raises(UsageError, match="4 clusters of 3 RNNs"):
        clusters(vectors[:3], {}, number=4)


def test_properties_that_are_not_known_say_nothing() -> None:
    vectors = blobs(np.random.default_rng(1), (20, 20))
    nothing = {"skill": pa.chunked_array([pa.nulls(40, pa.float64())])}
    assert all(cluster.traits == () for cluster in clusters(vectors, nothing, number=2))
