"""Maps: PCA keeps distances where it can, t-SNE keeps neighbours, and neither fails on strange input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from rnn2vec._errors import UsageError
from rnn2vec.inspection.maps import PROJECTIONS, project


def _groups() -> np.ndarray:
    """Three groups of 20, far apart in 16 dimensions."""
    generator = np.random.default_rng(0)
    return np.repeat(np.eye(3, 16), 20, axis=0) + generator.normal(scale=0.02, size=(60, 16))


def test_pca_of_a_plane_keeps_every_distance() -> None:
    plane = (
        np.random.default_rng(0).normal(size=(20, 2)) @ np.linalg.qr(np.random.default_rng(1).normal(size=(16, 2)))[0].T
    )
    projection = project(plane)
    assert projection.explained == pytest.approx(1)
    assert pdist(projection.coordinates) == pytest.approx(pdist(plane))


def test_pca_never_enlarges_a_distance() -> None:
    points = np.random.default_rng(0).normal(size=(30, 16))
    projection = project(points.astype(np.float32))
    assert (pdist(projection.coordinates) <= pdist(points) + 1e-5).all()
    assert projection.explained is not None
    assert 0 < projection.explained < 1


@pytest.mark.parametrize("method", sorted(PROJECTIONS))
def test_groups_stay_together(method: str) -> None:
    coordinates = project(_groups(), method=method).coordinates
    distances = np.linalg.norm(coordinates[:, None] - coordinates[None], axis=-1) + np.diag(np.full(60, np.inf))
    nearest = distances.argmin(axis=1)
    assert (nearest // 20 == np.arange(60) // 20).all()


@pytest.mark.parametrize("method", sorted(PROJECTIONS))
@pytest.mark.parametrize("count", [2, 3, 5])
def test_few_representations_have_a_map(method: str, count: int) -> None:
    projection = project(np.random.default_rng(0).normal(size=(count, 16)), method=method)
    assert projection.coordinates.shape == (count, 2)
    assert np.isfinite(projection.coordinates).all()


@pytest.mark.parametrize("method", sorted(PROJECTIONS))
def test_equal_representations_have_a_map_without_a_share(method: str) -> None:
    projection = project(np.ones((6, 16)), method=method)
    assert np.isfinite(projection.coordinates).all()
    assert projection.explained is None


@pytest.mark.parametrize("method", sorted(PROJECTIONS))
def test_the_same_seed_gives_the_same_map(method: str) -> None:
    first, again = (project(_groups(), method=method, seed=1).coordinates for _ in range(2))
    assert np.array_equal(first, again)


def test_an_unknown_method_is_named_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"unknown projection 't-sne'\n.*did you mean 'tsne'"):
        project(_groups(), method="t-sne")


def test_one_representation_has_no_map() -> None:
    with pytest.raises(UsageError, match="a map of 1 representations"):
        project(np.ones((1, 16)))


def test_others_are_placed_on_a_linear_map_alone() -> None:
    points = np.random.default_rng(0).normal(size=(30, 16))
    projection = project(points)
    placed = projection.place(points[:4])
    assert placed is not None
    np.testing.assert_allclose(placed, projection.coordinates[:4], atol=1e-9)
    assert project(points, method="tsne").place(points[:4]) is None
    same = project(np.ones((6, 16))).place(np.zeros((2, 16)))
    assert same is not None
    assert same.shape == (2, 2)
