"""Unusual RNNs, with a promise about false alarms.

The score of an RNN is its distance to its k-th nearest neighbour among the *other* ordinary RNNs. How large a score is
too large is read from the scores of the ordinary RNNs themselves, so nothing is assumed about their distribution:

    an ordinary RNN:  p = (number of ordinary RNNs that score at least as high, itself included) / n
    any other RNN:    p = (number of ordinary RNNs that score at least as high + 1) / (n + 1)

The first is a rank among exchangeable scores. The second is a conformal p-value (Vovk, Gammerman and Shafer 2005; Bates
et al. 2023): adding the new RNN to the neighbours of the ordinary ones could only lower their scores, so leaving it out
errs on the safe side. Either way an RNN of the ordinary kind has p <= rate with probability at most `rate`. Both fall
with the score: flags follow the ranking.

Splitting the RNNs into halves that judge each other was rejected: each half is ranked within itself, so that one
outlier pushes the next one of its half out of the flags, and half of the RNNs do not count. A threshold on the distance
itself promises nothing; a density model promises something only where the model is right.

The promise concerns false alarms. Outliers that lie together hide each other once there are more than k of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from rnn2vec._errors import UsageError
from rnn2vec._seeding import numpy_generator
from rnn2vec.index.search import ExactSearch

_NEIGHBOURS = 10
_MOST_REFERENCE = 10_000  # more would hardly move the k-th distance, and cost n times as much


@dataclass(frozen=True)
class Outliers:
    """Scores and p-values of RNNs, as a ranking with flags."""

    distances: Float[np.ndarray, " N"]
    """Distance to the k-th nearest of the other ordinary RNNs."""
    p_values: Float[np.ndarray, " N"]
    """Probability that an ordinary RNN is at least as unusual; it falls as the distance grows."""
    typical: float
    """Median distance of the ordinary RNNs, the unit in which the others stand out."""
    smallest_p: float
    """Smallest p-value that this number of ordinary RNNs can give."""

    @property
    def ranking(self) -> Int[np.ndarray, " N"]:
        """Rows, the most unusual first."""
        return np.argsort(-self.distances, kind="stable")

    def flagged(self, rate: float) -> Int[np.ndarray, " M"]:
        """Return the rows with p <= `rate`, the most unusual first: of ordinary RNNs at most that share.

        Raises:
            UsageError: if the rate is not between 0 and 1.
        """
        require_rate(rate)
        return self.ranking[self.p_values[self.ranking] <= rate]

    def describe(self, rate: float) -> str:
        """Return what the flags at a rate promise, or how many RNNs it would take to flag any.

        Raises:
            UsageError: if the rate is not between 0 and 1.
        """
        number = len(self.flagged(rate))
        if self.smallest_p > rate:
            return (
                f"Nothing is flagged: at a rate of {rate:g} it takes at least {rnns_needed(rate):,} RNNs to tell an "
                f"unusual one from chance, and there are {round(1 / self.smallest_p):,}. The ranking is still valid."
            )
        return (
            f"{number:,} of {len(self.distances):,} RNNs are flagged. Were all ordinary, at most "
            f"{rate * len(self.distances):.3g} would be."
        )


class Familiar:
    """Ordinary RNNs, as a measure of how unusual others are.

    Args:
        vectors: representations of ordinary RNNs, `(N, Z)`.
        neighbours: k, at most half of the other RNNs.
        seed: draws the neighbours that are searched where there are more than 10,000 RNNs.

    Raises:
        UsageError: if there are fewer than 4 RNNs.
    """

    def __init__(self, vectors: Float[np.ndarray, "N Z"], *, neighbours: int = _NEIGHBOURS, seed: int = 0) -> None:
        if len(vectors) < 4:
            raise UsageError(f"{len(vectors)} ordinary RNNs", remedy="give at least 4; hundreds say more.")
        rows = numpy_generator(seed, "outliers").permutation(len(vectors))[:_MOST_REFERENCE]
        self._search = ExactSearch(vectors[rows])
        self._neighbours = max(1, min(neighbours, (len(rows) - 1) // 2))
        found, _ = self._search.nearest(vectors, self._neighbours + 1)
        is_reference = np.isin(np.arange(len(vectors)), rows)  # and so its own nearest neighbour, at distance 0
        self.distances: Float[np.ndarray, " N"] = np.where(is_reference, found[:, -1], found[:, -2])
        """Scores of the ordinary RNNs, each measured against the others."""
        self._sorted = np.sort(self.distances)

    @property
    def members(self) -> Outliers:
        """The ordinary RNNs, judged by each other."""
        return self._judged(self.distances, self._at_least(self.distances) / len(self.distances), is_new=False)

    def judge(self, vectors: Float[np.ndarray, "Q Z"]) -> Outliers:
        """Judge RNNs that are not among the ordinary ones."""
        distances = self._search.nearest(vectors, self._neighbours)[0][:, -1]
        p_values = (self._at_least(distances) + 1) / (len(self.distances) + 1)
        return self._judged(distances, p_values, is_new=True)

    def _judged(self, distances: np.ndarray, p_values: np.ndarray, *, is_new: bool) -> Outliers:
        return Outliers(distances, p_values, float(np.median(self._sorted)), 1 / (len(self._sorted) + is_new))

    def _at_least(self, distances: np.ndarray) -> Int[np.ndarray, " Q"]:
        """Return how many ordinary RNNs score at least as high."""
        return len(self._sorted) - np.searchsorted(self._sorted, distances, side="left")


def judge_members(
    vectors: Float[np.ndarray, "N Z"],
    ordinary: Bool[np.ndarray, " N"] | None = None,
    *,
    neighbours: int = _NEIGHBOURS,
    seed: int = 0,
) -> Outliers:
    """Judge every RNN of a collection.

    Args:
        vectors: representations of all of them.
        ordinary: which are known to be ordinary; by default all, so that each is judged by all others.
        neighbours: k.
        seed: as for `Familiar`.

    Raises:
        UsageError: if fewer than 4 are ordinary.
    """
    ordinary = np.ones(len(vectors), dtype=bool) if ordinary is None else ordinary
    familiar = Familiar(vectors[ordinary], neighbours=neighbours, seed=seed)
    if ordinary.all():
        return familiar.members
    members, others = familiar.members, familiar.judge(vectors[~ordinary])
    distances, p_values = np.empty(len(vectors)), np.empty(len(vectors))
    distances[ordinary], p_values[ordinary] = members.distances, members.p_values
    distances[~ordinary], p_values[~ordinary] = others.distances, others.p_values
    return Outliers(distances, p_values, members.typical, others.smallest_p)


def require_rate(rate: float) -> None:
    """Check a false-alarm rate.

    Raises:
        UsageError: if it is not between 0 and 1.
    """
    if not 0 < rate < 1:
        raise UsageError(f"a false-alarm rate of {rate}", remedy="give a number between 0 and 1, such as 0.01.")


def rnns_needed(rate: float) -> int:
    """Return how many RNNs, the judged one included, it takes for a p-value as small as `rate`."""
    number = int(1 / rate)
    return number if 1 / number <= rate else number + 1
