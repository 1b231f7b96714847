"""Unusual RNNs, with a promise about false alarms.

An RNN is as unusual as its distance to its k-th nearest neighbour among a reference set is large. How large is *too*
large is read off from RNNs that were held out of the reference: with n of them, c of which lie at least as far as the
new one,

    p = (c + 1) / (n + 1)

is a conformal p-value (Vovk, Gammerman and Shafer 2005; Bates et al. 2023): whatever the distribution, an RNN of the
same kind as the held-out ones has p <= alpha with probability at most alpha. So "p <= alpha" is an alarm that is false
at a rate of at most alpha. A threshold on the distance itself would promise nothing; a density model would promise
it only where the model is right.

The RNNs of the index themselves are judged by halves: each half is measured against the other and ranked within
itself. Then the promise holds for them too, and a share alpha is flagged in any case. To see more alarms than that,
say which RNNs are known to be ordinary.
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
_MOST_HELD_OUT = 2_000


@dataclass(frozen=True)
class Unusual:
    """How unusual RNNs are."""

    distances: Float[np.ndarray, " N"]
    """To the k-th nearest neighbour in the reference."""
    p_values: Float[np.ndarray, " N"]
    """The smaller, the more unusual."""

    def alarms(self, rate: float) -> Int[np.ndarray, " M"]:
        """The rows with p <= `rate`, the farthest first. Of ordinary RNNs at most that share is among them.

        Raises:
            UsageError: the rate is not between 0 and 1.
        """
        if not 0 < rate < 1:
            raise UsageError(f"a false-alarm rate of {rate}", remedy="give a number between 0 and 1, such as 0.01.")
        order = np.argsort(-self.distances, kind="stable")
        return order[self.p_values[order] <= rate]


class Familiar:
    """What ordinary RNNs look like.

    Args:
        vectors: of ordinary RNNs; some are held out, the others are the reference.
        neighbours: k.
        seed: draws who is held out.

    Raises:
        UsageError: there are fewer than 4 RNNs.
    """

    def __init__(self, vectors: Float[np.ndarray, "N Z"], *, neighbours: int = _NEIGHBOURS, seed: int = 0) -> None:
        if len(vectors) < 4:
            raise UsageError(f"{len(vectors)} ordinary RNNs", remedy="give at least 4; hundreds say more.")
        order = numpy_generator(seed, "outliers").permutation(len(vectors))
        num_held_out = min(len(vectors) // 2, _MOST_HELD_OUT)
        reference = vectors[order[num_held_out : num_held_out + _MOST_REFERENCE]]
        self._search = ExactSearch(reference)
        self._neighbours = min(neighbours, len(reference))
        self._held_out = np.sort(self._distances(vectors[order[:num_held_out]]))

    @property
    def smallest_p(self) -> float:
        """The smallest p-value that so many held-out RNNs can give."""
        return 1 / (len(self._held_out) + 1)

    def judge(self, vectors: Float[np.ndarray, "Q Z"]) -> Unusual:
        """How unusual RNNs are that the ordinary ones do not include."""
        distances = self._distances(vectors)
        at_least = len(self._held_out) - np.searchsorted(self._held_out, distances, side="left")
        return Unusual(distances, (at_least + 1) / (len(self._held_out) + 1))

    def _distances(self, vectors: np.ndarray) -> np.ndarray:
        return self._search.nearest(vectors, self._neighbours)[0][:, -1]


def judge_members(
    vectors: Float[np.ndarray, "N Z"],
    ordinary: Bool[np.ndarray, " N"] | None = None,
    *,
    neighbours: int = _NEIGHBOURS,
    seed: int = 0,
) -> Unusual:
    """How unusual each RNN of an index is.

    Args:
        vectors: of all of them.
        ordinary: which are known to be ordinary; all, by default.
        neighbours: k.
        seed: draws the halves.

    Raises:
        UsageError: fewer than 4 are ordinary.
    """
    ordinary = np.ones(len(vectors), dtype=bool) if ordinary is None else ordinary
    familiar = Familiar(vectors[ordinary], neighbours=neighbours, seed=seed)
    distances, p_values = np.empty(len(vectors)), np.empty(len(vectors))
    if not ordinary.all():
        others = familiar.judge(vectors[~ordinary])
        distances[~ordinary], p_values[~ordinary] = others.distances, others.p_values
    rows = numpy_generator(seed, "outlier halves").permutation(np.flatnonzero(ordinary))
    halves = np.array_split(rows, 2)
    for half, other in (halves, halves[::-1]):
        reference = ExactSearch(vectors[other[:_MOST_REFERENCE]])
        found, _ = reference.nearest(vectors[half], min(neighbours, len(other)))
        distances[half] = found[:, -1]
        ranked = np.sort(distances[half])
        p_values[half] = (len(half) - np.searchsorted(ranked, distances[half], side="left")) / len(half)
    return Unusual(distances, p_values)
