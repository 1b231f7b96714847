"""Drift along a run: distances as they are, in the order of training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rnn2vec._errors import UsageError
from rnn2vec.inspection.drift import drift, in_order_of_training

VECTORS = np.array([[0.0, 0], [3, 4], [3, 5]])


def test_distances_are_from_the_one_before_and_from_the_reference() -> None:
    measured = drift(["a", "b", "c"], VECTORS)
    assert measured.from_previous.tolist() == [0, 5, 1]
    assert measured.from_reference.tolist() == [5, 0, 1]
    assert (measured.reference, measured.last) == ("b", 1)
    first = drift(["a", "b", "c"], VECTORS, "a")
    assert first.last == pytest.approx(np.hypot(3, 5))


def test_too_few_and_an_unknown_reference_are_refused() -> None:
    with pytest.raises(UsageError, match=r"1 checkpoints\n"):
        drift(["a"], VECTORS[:1])
    with pytest.raises(UsageError, match=r"the reference z is none of the checkpoints\n.*such as a"):
        drift(["a", "b", "c"], VECTORS, "z")


def test_numbers_in_names_count_as_numbers() -> None:
    paths = [Path(name) for name in ("run/step_1000.pt", "run/step_900.pt", "run/step_20.pt", "run/last.pt")]
    ordered = [path.stem for path in in_order_of_training(paths)]
    assert ordered == ["last", "step_20", "step_900", "step_1000"]
