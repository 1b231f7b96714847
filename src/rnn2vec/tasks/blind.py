"""The best next-token prediction that does not know which task it faces: part (a) of the task-blind floor.

Given a prefix, some of the possible languages remain. The prediction q that minimizes the expected total
variation to their next-token distributions p_i (weights w_i) solves

    min_q  sum_i w_i * 1/2 * sum_k |p_ik - q_k|     with  sum_k q_k = 1.

Without the constraint each q_k is a weighted median. The constraint's multiplier moves the quantile level of all
tokens alike, so the solution is the same quantile of every p_.k, at the one level where the quantiles sum to 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8


class PrefixTree:
    """All prefixes of all languages, with each language's continuations.

    Args:
        languages: equally likely sequences of each language, as tokens that begin with the same BOS.
        num_tokens: number of different tokens.
    """

    def __init__(self, languages: Sequence[UInt8[np.ndarray, "_ T"]], num_tokens: int) -> None:
        self._num_tokens = num_tokens
        self._counts: dict[bytes, dict[int, np.ndarray]] = {}
        self._predictions: dict[bytes, np.ndarray] = {}
        for number, sequences in enumerate(languages):
            for sequence in sequences:
                for end in range(1, len(sequence)):
                    for context in (sequence[:end].tobytes(), _last_token(sequence[:end])):
                        after = self._counts.setdefault(context, {})
                        counts = after.setdefault(number, np.zeros(num_tokens))
                        counts[sequence[end]] += 1 / len(sequences)

    def predict(self, sequences: UInt8[np.ndarray, "R T"]) -> Float[np.ndarray, "R S O"]:
        """Next-token probabilities after each prefix of each sequence.

        A prefix with which no language begins is judged by its last token alone; one whose last token never
        occurs gets the uniform distribution.

        Args:
            sequences: R sequences of S + 1 tokens.
        """
        num_sequences, length = sequences.shape
        predictions = np.empty((num_sequences, length - 1, self._num_tokens), dtype=np.float32)
        for row, sequence in enumerate(sequences):
            for end in range(1, length):
                predictions[row, end - 1] = self._predict(sequence[:end])
        return predictions

    def _predict(self, prefix: UInt8[np.ndarray, " S"]) -> np.ndarray:
        known = [context for context in (prefix.tobytes(), _last_token(prefix)) if context in self._counts]
        if not known:
            return np.full(self._num_tokens, 1 / self._num_tokens)
        context = known[0]
        if context not in self._predictions:
            counts = np.stack(list(self._counts[context].values()))
            weights = counts.sum(axis=1)
            self._predictions[context] = nearest_in_total_variation(counts / weights[:, None], weights)
        return self._predictions[context]


def _last_token(prefix: UInt8[np.ndarray, " S"]) -> bytes:
    """Return the key of a last token; no sequence begins with a byte that high."""
    return b"\xff" + prefix[-1:].tobytes()


def nearest_in_total_variation(
    distributions: Float[np.ndarray, "M O"], weights: Float[np.ndarray, " M"]
) -> Float[np.ndarray, " O"]:
    """Compute the distribution with the smallest weighted mean total variation to the given ones, exactly."""
    order = distributions.argsort(axis=0)
    values = np.take_along_axis(distributions, order, axis=0)
    levels = (weights / weights.sum())[order].cumsum(axis=0)
    steps = np.unique(np.concatenate([[0.0], levels.ravel()]))
    # One level between each two steps: there the quantiles of all tokens are single values.
    middles = (steps[:-1] + steps[1:]) / 2
    # quantiles[s, k]: the smallest value of token k whose level reaches middles[s].
    reached = (levels[None] < middles[:, None, None] - 1e-12).sum(axis=1).clip(max=len(values) - 1)
    quantiles = np.take_along_axis(values, reached, axis=0)
    sums = quantiles.sum(axis=1)
    above = int(np.searchsorted(sums, 1.0))
    if above == 0 or above == len(sums):  # every quantile sums to more, or to less: the nearest end, brought to sum 1
        end = quantiles[min(above, len(sums) - 1)]
        return end / end.sum() if above == 0 else end + (1 - end.sum()) / len(end)
    low, high = quantiles[above - 1], quantiles[above]
    share = (1.0 - sums[above - 1]) / (sums[above] - sums[above - 1])
    return low + share * (high - low)
