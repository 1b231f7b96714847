"""What the RNNs of an index have in common with a new one: predict properties from vectors, with honest uncertainty.

A choice is predicted by multinomial logistic regression, a number by the mean of the nearest RNNs with an interval that
holds 90 %. (Votes of neighbours instead of the regression were right about choices half as often on languages that no
neighbour has.) Strength and temperature of the regression, and width of the neighbourhood, are what fits best on RNNs
that were kept apart: the index's `validation` split, where it has one, since a new RNN may well do what none in the
index does. How reliable that is, is measured on kept-apart RNNs that did not choose: half of their runs judges the
other half. A predictor is fitted when it is made, in about a second, so it follows the index as that grows.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int

from rnn2vec._seeding import numpy_generator
from rnn2vec.embedding.index.index import Index
from rnn2vec.embedding.index.search import ExactSearch

_STRENGTHS = (0.3, 1.0, 10.0)
_TEMPERATURES = (0.7, 1.0, 1.4, 2.0)
_NEIGHBOURS = 50
_WIDTHS = (0.5, 1.0, 2.0, 4.0)  # in distances to the fifth neighbour
_COVERAGE = 0.9
_BINS = 15
_MOST_CHOICES = 12
_MOST_FITTED, _MOST_KEPT_APART = 5000, 2000
_FEWEST = 20
_BOOKKEEPING = {"run", "seed", "split", "spec", "task"}

Vectors = Float[np.ndarray, "N Z"]
Probabilities = Float[np.ndarray, "Q C"]


@dataclass(frozen=True)
class Prediction:
    """What a property of an RNN probably is."""

    name: str
    """The property."""
    value: Any
    """The likeliest value, or the expected number."""
    probability: float | None
    """Of a choice; None for a number."""
    interval: tuple[float, float] | None
    """Holds a number 90 times in 100; None for a choice."""
    score: float
    """On kept-apart RNNs: the share of choices that were right, or R^2 for a number."""
    coverage: float | None
    """The share of their numbers that such intervals held; None for a choice."""


@dataclass(frozen=True)
class _KeptApart:
    """RNNs that choose settings and measure reliability."""

    vectors: Vectors
    rows: Int[np.ndarray, " M"]
    halves: Bool[np.ndarray, " M"]
    """Which half of the runs each is in."""

    def judged_by_the_other_half(self, costs: Float[np.ndarray, "S M"]) -> Int[np.ndarray, " M"]:
        """For each RNN the setting that costs the other half least."""
        best = [int(costs[:, half].mean(axis=1).argmin()) for half in (~self.halves, self.halves)]
        return np.where(self.halves, best[0], best[1])


@runtime_checkable
class _Column(Protocol):
    """One property."""

    def predict(self, vector: Vectors) -> Prediction: ...


class _Choice:
    """A property with few values."""

    def __init__(self, name: str, values: np.ndarray, vectors: Vectors, fitted: np.ndarray, kept: _KeptApart) -> None:
        from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

        self._name = name
        self._choices, codes = np.unique(values[fitted], return_inverse=True)
        self._centre, self._spread = vectors[fitted].mean(axis=0), vectors[fitted].std() + 1e-12
        scaled = self._scaled(vectors[fitted])
        models = [LogisticRegression(C=strength, max_iter=500).fit(scaled, codes) for strength in _STRENGTHS]
        settings = list(itertools.product(models, _TEMPERATURES))
        answers = np.stack([self._probabilities(kept.vectors, *setting) for setting in settings])
        right = self._choices == values[kept.rows, None]  # a value that was never seen is never right
        costs = -np.log((answers * right).sum(axis=2) + 1e-6)
        self._setting = settings[int(costs.mean(axis=1).argmin())]
        measured = answers[kept.judged_by_the_other_half(costs), np.arange(len(kept.rows))]
        self.certainty = measured.max(axis=1)
        self.hits = right[np.arange(len(right)), measured.argmax(axis=1)]

    def _scaled(self, vectors: Vectors) -> Vectors:
        return (vectors - self._centre) / self._spread

    def _probabilities(self, vectors: Vectors, model: Any, temperature: float) -> Probabilities:
        powered = model.predict_proba(self._scaled(vectors)) ** (1 / temperature)
        return powered / powered.sum(axis=1, keepdims=True)

    def predict(self, vector: Vectors) -> Prediction:
        """The likeliest value."""
        (probabilities,) = self._probabilities(vector, *self._setting)
        best = int(probabilities.argmax())
        value = self._choices[best].item()
        return Prediction(self._name, value, float(probabilities[best]), None, float(self.hits.mean()), None)


class _Number:
    """A property that is a number."""

    def __init__(self, name: str, values: np.ndarray, vectors: Vectors, fitted: np.ndarray, kept: _KeptApart) -> None:
        self._name = name
        self._values = values[fitted].astype(np.float64)
        self._search = ExactSearch(vectors[fitted])
        right = values[kept.rows].astype(np.float64)
        answers = [self._expected(kept.vectors, width) for width in _WIDTHS]
        errors = np.stack([np.abs(mean - right) for mean, _ in answers])
        relative = np.stack([error / spread for error, (_, spread) in zip(errors, answers, strict=True)])
        chosen = int(np.square(errors).mean(axis=1).argmin())
        self._width, self._factor = _WIDTHS[chosen], _conformal_quantile(relative[chosen])
        judged, places = kept.judged_by_the_other_half(np.square(errors)), np.arange(len(right))
        limits = np.empty(len(right))
        for half in (kept.halves, ~kept.halves):
            limits[half] = _conformal_quantile(relative[judged[half][0], ~half])
        self._coverage = float((relative[judged, places] <= limits).mean())
        self._score = float(1 - np.square(errors[judged, places]).mean() / right.var()) if right.var() else 0.0

    def _expected(self, vectors: Vectors, width: float) -> tuple[np.ndarray, np.ndarray]:
        """The weighted mean among neighbours, and how much they differ."""
        distances, rows = self._search.nearest(vectors, _NEIGHBOURS)
        scale = width * distances[:, min(4, distances.shape[1] - 1), None] + 1e-12
        weights = np.exp(-np.square(distances / scale)) + 1e-12
        weights /= weights.sum(axis=1, keepdims=True)
        there = self._values[rows]
        mean = (weights * there).sum(axis=1)
        spread = np.sqrt((weights * np.square(there - mean[:, None])).sum(axis=1))
        return mean, spread + 0.1 * self._values.std() + 1e-12

    def predict(self, vector: Vectors) -> Prediction:
        """The expected number and its interval."""
        (mean,), (spread,) = self._expected(vector, self._width)
        half = self._factor * float(spread)
        interval = (float(mean) - half, float(mean) + half)
        return Prediction(self._name, float(mean), None, interval, self._score, self._coverage)


class PropertyPredictor:
    """Predicts the properties of an index's RNNs for new ones.

    Properties that are not known of all RNNs, that never vary, or that are bookkeeping (run, seed, split) are left out,
    and all are where fewer than 20 RNNs could be kept apart.

    Args:
        index: vectors and properties; a column `task` or `run` says which RNNs are kept apart together, a column
            `split` which are for validation.
        seed: draws who is kept apart, and the halves.
    """

    def __init__(self, index: Index, *, seed: int = 0) -> None:
        generator = numpy_generator(seed, "property prediction")
        runs = _groups(index)
        apart = _kept_apart(index.table, runs, generator)
        fitted = generator.permutation(np.flatnonzero(~apart))[:_MOST_FITTED]
        rows = generator.permutation(np.flatnonzero(apart))[:_MOST_KEPT_APART]
        halves = np.isin(runs[rows], generator.permutation(np.unique(runs[rows]))[::2])
        self._columns: list[_Column] = []
        if min(halves.sum(), (~halves).sum(), len(fitted)) >= _FEWEST // 2:
            kept = _KeptApart(index.vectors[rows], rows, halves)
            for name in index.property_names:
                values = _usable(name, index.table.column(name), fitted)
                if values is not None:
                    kind = _Choice if len(np.unique(values)) <= _MOST_CHOICES else _Number
                    self._columns.append(kind(name, values, index.vectors, fitted, kept))

    @property
    def calibration_error(self) -> float | None:
        """The expected calibration error over all choices of all kept-apart RNNs; None where there are no choices."""
        choices = [column for column in self._columns if isinstance(column, _Choice)]
        if not choices:
            return None
        certainty = np.concatenate([choice.certainty for choice in choices])
        return calibration_error(certainty, np.concatenate([choice.hits for choice in choices]))

    def predict(self, vector: Float[np.ndarray, " Z"]) -> list[Prediction]:
        """Every property of one RNN."""
        return [column.predict(vector[None].astype(np.float64)) for column in self._columns]


def _groups(index: Index) -> Int[np.ndarray, " N"]:
    """Which RNNs do the same by design: those of one task, or the snapshots of one run."""
    for name in ("task", "run"):
        if name in index.property_names:
            return np.unique(np.array(index.table.column(name).to_pylist()).astype(str), return_inverse=True)[1]
    return np.arange(len(index))


def _kept_apart(table: pa.Table, runs: np.ndarray, generator: np.random.Generator) -> Bool[np.ndarray, " N"]:
    if "split" in table.column_names:
        apart = np.array([value == "validation" for value in table.column("split").to_pylist()], dtype=bool)
        if apart.any():
            return apart
    names = np.unique(runs)
    return np.isin(runs, generator.permutation(names)[: max(1, len(names) // 5)])


def _usable(name: str, values: pa.ChunkedArray, fitted: np.ndarray) -> np.ndarray | None:
    """A property's values, where it can be predicted."""
    if name in _BOOKKEEPING or values.null_count:
        return None
    array = np.array(values.to_pylist())
    distinct = len(np.unique(array[fitted]))
    is_number = array.dtype.kind in "fiu"
    return array if distinct > 1 and (is_number or distinct <= _MOST_CHOICES) else None


def _conformal_quantile(errors: np.ndarray) -> float:
    """What a new error stays below 90 times in 100, given errors of the same kind."""
    level = min(1.0, np.ceil(_COVERAGE * (len(errors) + 1)) / len(errors))
    return float(np.quantile(errors, level, method="higher"))


def calibration_error(probabilities: Float[np.ndarray, " N"] | Sequence[float], right: np.ndarray) -> float:
    """The expected calibration error (Guo et al. 2017) over 15 bins of equal width.

    How far probabilities are from the share of answers that are right, weighted by the answers in each bin.

    Args:
        probabilities: what the answers were thought to be right with.
        right: whether they were.
    """
    probabilities = np.asarray(probabilities)
    bins = np.minimum((probabilities * _BINS).astype(int), _BINS - 1)
    gaps = [np.abs(probabilities[bins == number].sum() - right[bins == number].sum()) for number in np.unique(bins)]
    return float(np.sum(gaps) / len(probabilities))
