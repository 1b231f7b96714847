"""Comparison of an encoder with the task-blind floor.

Predictions that ignore the RNN are surprisingly good: most of a string follows from its beginning. The quality of an
encoder shows only in how far its emulator is below the best task-blind prediction, the *task-blind floor*: the lower of
the closed-form prediction and of an emulator pre-trained on a constant vector. The result is the ratio of both means,
`encoder / floor`.

RNNs of one language resemble each other, so the number of independent observations is the number of languages. The
interval therefore resamples languages, each with all its RNNs; resampling RNNs would make it too narrow.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from rnn2vec._errors import UsageError
from rnn2vec.experiments.statistics import central_interval, resampled_sums

CLEARLY_BELOW = 0.9
"""Largest ratio that counts as below the floor; the whole interval must be below it too."""


@dataclass(frozen=True)
class FloorComparison:
    """Mean distances of an encoder and of the floor, over N RNNs of M languages."""

    encoder: float
    """Mean distance of the encoder's emulations (total variation)."""
    floor: float
    """Mean distance of the lowest floor."""
    floor_name: str
    """Name of the lowest floor."""
    ratio: float
    """Ratio of the means, `encoder / floor`."""
    interval: tuple[float, float] | None
    """Confidence interval of the ratio by a bootstrap over languages; None for fewer than 2 languages."""
    num_rnns: int
    """Number of RNNs, N."""
    num_groups: int
    """Number of languages, M."""

    @property
    def is_below_floor(self) -> bool:
        """True if the ratio and the upper end of its interval are at most `CLEARLY_BELOW`."""
        return max([self.ratio, *(self.interval or ())]) <= CLEARLY_BELOW


def compare_with_floor(
    encoder: Float[np.ndarray, " N"],
    floors: Mapping[str, Float[np.ndarray, " N"]],
    groups: Sequence[Hashable],
    *,
    seed: int = 0,
) -> FloorComparison:
    """Compare an encoder with the lowest of several floors.

    Each resample uses its own lowest floor, so that the choice of the floor does not favour the encoder.

    Args:
        encoder: distance of each RNN to its emulation (total variation).
        floors: distance of each RNN to each candidate floor's prediction, by the floor's name.
        groups: language (task) of each RNN.
        seed: seed of the bootstrap.

    Raises:
        UsageError: if there is no RNN or no floor, or the lengths differ.
    """
    lengths = {len(encoder), len(groups), *map(len, floors.values())}
    if not floors or lengths == {0} or len(lengths) > 1:
        raise UsageError(
            f"{len(encoder)} distances of the encoder, {len(groups)} languages, "
            f"and floors of {[len(floor) for floor in floors.values()]}",
            remedy="give at least one floor, and one number and one language for each RNN.",
        )
    rows = np.stack([encoder, *floors.values()])
    means = rows.mean(axis=1)
    lowest = int(means[1:].argmin())
    num_groups = len(set(groups))
    interval = None
    if num_groups > 1:
        resampled = resampled_sums(rows, groups, seed=seed)  # the numbers of RNNs cancel in the ratio
        interval = central_interval(resampled[:, 0] / resampled[:, 1:].min(axis=1))
    return FloorComparison(
        encoder=float(means[0]),
        floor=float(means[1 + lowest]),
        floor_name=list(floors)[lowest],
        ratio=float(means[0] / means[1 + lowest]),
        interval=interval,
        num_rnns=len(encoder),
        num_groups=num_groups,
    )
