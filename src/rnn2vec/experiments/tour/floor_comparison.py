"""Is an encoder below the task-blind floor?

Predicting RNNs without looking at them goes surprisingly far: most of a string follows from its beginning. What an
encoder has learned shows only in how far its emulator is below the best that can be done blind, the *task-blind
floor*: the lower of the closed-form prediction and of an emulator that was pre-trained on a constant vector. The
answer is the ratio of both means, `encoder / floor`.

RNNs of one language resemble each other, so that the number of independent observations is the number of languages.
The interval therefore resamples languages, with all of their RNNs. Resampling RNNs would make it too narrow.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from rnn2vec._errors import UsageError
from rnn2vec._seeding import numpy_generator

CLEARLY_BELOW = 0.9
"""An encoder is below the floor when it is at least 10 % below, with the whole interval."""


@dataclass(frozen=True)
class FloorComparison:
    """An encoder's mean distance beside the floor's, over N RNNs of M languages."""

    encoder: float
    """Mean distance of the encoder's emulations."""
    floor: float
    """Mean distance of the lower floor."""
    floor_name: str
    """Which one that is."""
    ratio: float
    """`encoder / floor`."""
    interval: tuple[float, float] | None
    """Of the ratio, by a bootstrap over languages; None where there are fewer than 2 languages."""
    num_rnns: int
    """N."""
    num_groups: int
    """M."""

    @property
    def is_below_floor(self) -> bool:
        """Whether the encoder is at least 10 % below the floor, at the upper end of the interval too."""
        return max([self.ratio, *(self.interval or ())]) <= CLEARLY_BELOW


def compare_with_floor(
    encoder: Float[np.ndarray, " N"],
    floors: Mapping[str, Float[np.ndarray, " N"]],
    groups: Sequence[Hashable],
    *,
    seed: int = 0,
    num_resamples: int = 10_000,
    confidence: float = 0.95,
) -> FloorComparison:
    """Compare an encoder with the lowest of several floors.

    In each resample the lowest floor is chosen anew: an encoder gets no credit for a floor that merely happened to
    be the higher one on these languages.

    Args:
        encoder: each RNN's distance to its emulation (total variation).
        floors: the same for each candidate floor, by name.
        groups: the language (task) of each RNN.
        seed: where the resamples come from.
        num_resamples: how often languages are drawn with replacement.
        confidence: of the interval, between 0 and 1.

    Raises:
        UsageError: no RNN or no floor was given, or the lengths differ.
    """
    lengths = {len(encoder), len(groups), *map(len, floors.values())}
    if not floors or lengths == {0} or len(lengths) > 1:
        raise UsageError(
            f"{len(encoder)} distances of the encoder, {len(groups)} languages, "
            f"and floors of {[len(floor) for floor in floors.values()]}",
            remedy="give at least one floor, and one number and one language for each RNN.",
        )
    sums = _sums_by_group(np.stack([encoder, *floors.values()]), groups)  # (1 + floors, M)
    num_groups = sums.shape[1]
    means = sums.sum(axis=1) / len(encoder)
    lowest = int(means[1:].argmin())
    interval = None
    if num_groups > 1:
        draws = numpy_generator(seed, "bootstrap").multinomial(
            num_groups, np.full(num_groups, 1 / num_groups), num_resamples
        )
        resampled = draws @ sums.T  # numbers of RNNs cancel in the ratio
        ratios = resampled[:, 0] / resampled[:, 1:].min(axis=1)
        low, high = np.quantile(ratios, [(1 - confidence) / 2, (1 + confidence) / 2])
        interval = float(low), float(high)
    return FloorComparison(
        encoder=float(means[0]),
        floor=float(means[1 + lowest]),
        floor_name=list(floors)[lowest],
        ratio=float(means[0] / means[1 + lowest]),
        interval=interval,
        num_rnns=len(encoder),
        num_groups=num_groups,
    )


def _sums_by_group(rows: Float[np.ndarray, "R N"], groups: Sequence[Hashable]) -> Float[np.ndarray, "R M"]:
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    sums = np.zeros((len(rows), len(numbers)))
    for column, group in zip(rows.T, groups, strict=True):
        sums[:, numbers[group]] += column
    return sums
