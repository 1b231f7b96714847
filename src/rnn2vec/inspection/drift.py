"""The movement of an RNN's representation along the checkpoints of a training run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from rnn2vec._errors import UsageError


@dataclass(frozen=True)
class Drift:
    """Distances between the representations of checkpoints, in the order of training."""

    names: tuple[str, ...]
    """The checkpoints."""
    from_previous: Float[np.ndarray, " N"]
    """Distance from the previous checkpoint; 0 for the first."""
    from_reference: Float[np.ndarray, " N"]
    """Distance from the reference."""
    reference: str
    """Name of the checkpoint with which the last one is compared."""

    @property
    def last(self) -> float:
        """Distance of the last checkpoint from the reference, which a gate checks."""
        return float(self.from_reference[-1])


def drift(names: Sequence[str], vectors: Float[np.ndarray, "N Z"], reference: str | None = None) -> Drift:
    """Measure the drift.

    Args:
        names: of the checkpoints, in the order of training.
        vectors: their representations.
        reference: the name of the checkpoint with which all are compared; by default the one before the last.

    Raises:
        UsageError: if there are fewer than 2, or the reference is none of them.
    """
    if len(names) < 2:
        raise UsageError(f"{len(names)} checkpoints", remedy="give at least 2 of one training run.")
    if reference is not None and reference not in names:
        raise UsageError(f"the reference {reference} is none of the checkpoints", remedy=f"such as {names[0]}.")
    place = len(names) - 2 if reference is None else list(names).index(reference)
    previous = np.linalg.norm(np.diff(vectors, axis=0, prepend=vectors[:1]), axis=1)
    return Drift(tuple(names), previous, np.linalg.norm(vectors - vectors[place], axis=1), names[place])


def in_order_of_training(paths: Sequence[Path]) -> list[Path]:
    """Paths by the numbers in their names, so that `step_900` comes before `step_1000`."""
    return sorted(paths, key=lambda path: [_number_or_text(part) for part in re.split(r"(\d+)", str(path))])


def _number_or_text(part: str) -> tuple[int, str]:
    return (int(part), "") if part.isdigit() else (-1, part)
