"""Maps: representations in two dimensions, for the eye.

PCA is the default: it is linear, so that distances on the map are never larger than the real ones, it has no
parameter to tune, and it says which share of the variance the map shows. t-SNE (the paper's Figures 6 and 7) keeps
neighbours together instead and separates groups that PCA lays over each other; distances between groups mean
nothing there. UMAP was not taken: one more dependency, for the same use.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from rnn2vec._errors import UsageError, unknown_name

_PERPLEXITY = 30.0


@dataclass(frozen=True)
class Projection:
    """Representations on a plane."""

    method: str
    """`pca` or `tsne`."""
    coordinates: Float[np.ndarray, "N 2"]
    """Position of each RNN; the unit is that of the representations for PCA, and arbitrary for t-SNE."""
    explained: float | None
    """The share of the variance that the map shows, from 0 to 1; None where there is no such share."""
    centre: Float[np.ndarray, " Z"] | None = None
    """Representation at the origin of a linear map; None for another."""
    axes: Float[np.ndarray, "2 Z"] | None = None
    """Directions of a linear map; None for another."""

    def place(self, representations: Float[np.ndarray, "Q Z"]) -> Float[np.ndarray, "Q 2"] | None:
        """Return where other representations lie on the map; None where the map is not linear."""
        if self.centre is None or self.axes is None:
            return None
        return (representations - self.centre) @ self.axes.T


def project(representations: Float[np.ndarray, "N Z"], *, method: str = "pca", seed: int = 0) -> Projection:
    """Lay representations out on a plane.

    Args:
        representations: one row for each RNN.
        method: `pca` or `tsne`.
        seed: where random numbers come from (t-SNE's optimization).

    Raises:
        UsageError: if there is no such method, or there are fewer than 2 representations.
    """
    if method not in PROJECTIONS:
        raise unknown_name("projection", method, PROJECTIONS)
    if len(representations) < 2:
        raise UsageError(f"a map of {len(representations)} representations", remedy="give at least 2.")
    return PROJECTIONS[method](representations.astype(np.float64), seed)


def _pca(representations: Float[np.ndarray, "N Z"], seed: int) -> Projection:
    """Project to the two directions of the largest variance; the solver used here is not random."""
    from sklearn.decomposition import PCA  # noqa: PLC0415

    width = representations.shape[1]
    if np.ptp(representations, axis=0).max() == 0:  # all the same: no direction is better than another
        return Projection("pca", np.zeros((len(representations), 2)), None, representations[0], np.zeros((2, width)))
    pca = PCA(n_components=2, svd_solver="full", random_state=seed)
    coordinates = pca.fit_transform(representations)
    return Projection("pca", coordinates, float(pca.explained_variance_ratio_.sum()), pca.mean_, pca.components_)


def _tsne(representations: Float[np.ndarray, "N Z"], seed: int) -> Projection:
    """t-SNE that starts from PCA's map."""
    from sklearn.manifold import TSNE  # noqa: PLC0415

    start = _pca(representations, seed).coordinates
    largest = max(np.abs(start).max(), np.finfo(np.float64).tiny)
    tsne = TSNE(
        perplexity=min(_PERPLEXITY, (len(representations) - 1) / 3),
        init=(1e-4 * start / largest).astype(np.float32),
        random_state=seed,
        n_jobs=1,
    )
    return Projection("tsne", tsne.fit_transform(representations).astype(np.float64), None)


PROJECTIONS: dict[str, Callable[[np.ndarray, int], Projection]] = {"pca": _pca, "tsne": _tsne}
"""Every method by name."""
