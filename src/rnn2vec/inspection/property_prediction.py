"""Prediction of a new RNN's properties from the vectors of an index, with calibrated uncertainty.

A choice is predicted by multinomial logistic regression on the vectors' entries and their pairwise products, a number
by
the mean of the nearest RNNs, with a 90 % interval. (Votes of neighbours were right half as often as the regression on
languages that no neighbour has; without the products the regression was right in 60 % instead of 70 %.) The strength of
the regression and the width of the neighbourhood are selected out of fold, with five folds in which RNNs that do the
same by design stay together, since no RNN in the index may do what a new one does. The accuracy of these out-of-fold
predictions also calibrates the probabilities (isotonic regression on the largest probability; a temperature alone left
them twice as wrong), and their errors determine the width of the intervals. Reliability is measured on held-out RNNs:
the
index's `validation` split, if it has one. A predictor is fitted when it is created, in a few seconds, so it reflects
the
index as it grows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int

from rnn2vec._seeding import numpy_generator
from rnn2vec.index.index import Index
from rnn2vec.index.search import ExactSearch, Search
from rnn2vec.properties.scores import calibration_error

_STRENGTHS = (0.1, 10.0)
_TOLERANCE = 2e-3  # of the regression; at scikit-learn's own it takes three times as long and is right as often
_FOLDS = 5
_NEIGHBOURS = 50
_WIDTHS = (0.5, 1.0, 2.0, 4.0)  # in distances to the fifth neighbour
_COVERAGE = 0.9
_MOST_CHOICES = 12
_MOST_FITTED, _MOST_FITTED_ON_CHOICES, _MOST_KEPT_APART = 5000, 2000, 2000
_FEWEST = 20
_BOOKKEEPING = {"run", "seed", "split", "spec", "task"}

Vectors = Float[np.ndarray, "N Z"]
Probabilities = Float[np.ndarray, "Q C"]


@dataclass(frozen=True)
class Prediction:
    """A prediction of a property of an RNN."""

    name: str
    """The property."""
    value: Any
    """The likeliest value, or the expected number."""
    probability: float | None
    """Probability of a choice; None for a number."""
    interval: tuple[float, float] | None
    """Holds a number 90 times in 100; None for a choice."""
    score: float
    """On kept-apart RNNs: the share of choices that were right, or R^2 for a number."""
    coverage: float | None
    """The share of their numbers that such intervals held; None for a choice."""


@dataclass(frozen=True)
class _Rows:
    """The RNNs for fitting, and those for evaluation."""

    fitted: Int[np.ndarray, " F"]
    """Rows of the RNNs for fitting."""
    folds: Int[np.ndarray, " F"]
    """The fold of each, the same for RNNs that do the same by design."""
    apart: Int[np.ndarray, " M"]
    """Rows of the held-out RNNs, which only measure reliability."""


@runtime_checkable
class _Column(Protocol):
    """A property that can be predicted."""

    def predict(self, vector: Vectors) -> Prediction: ...


class _Choice:
    """A property with few values."""

    def __init__(self, name: str, values: np.ndarray, vectors: Vectors, rows: _Rows) -> None:
        from sklearn.isotonic import IsotonicRegression  # noqa: PLC0415

        self._name = name
        fitted, folds = rows.fitted[:_MOST_FITTED_ON_CHOICES], rows.folds[:_MOST_FITTED_ON_CHOICES]
        self._choices, codes = np.unique(values[fitted], return_inverse=True)
        self._centre, self._spread = vectors[fitted].mean(axis=0), vectors[fitted].std() + 1e-12
        features = self._features(vectors[fitted])
        tried = [_out_of_fold(features, codes, folds, strength) for strength in _STRENGTHS]
        costs = [-np.log(answers[np.arange(len(codes)), codes] + 1e-6).mean() for answers in tried]
        best = int(np.argmin(costs))
        self._probabilities = _regression(features, codes, len(self._choices), _STRENGTHS[best])
        right, margin = tried[best].argmax(axis=1) == codes, 1 / (len(codes) + 2)
        calibration = IsotonicRegression(y_min=margin, y_max=1 - margin, out_of_bounds="clip")
        self._calibration: Any = calibration.fit(tried[best].max(axis=1), right)
        answers, self.certainty = self._answer(vectors[rows.apart])
        self.hits = self._choices[answers] == values[rows.apart]

    def _features(self, vectors: Vectors) -> Float[np.ndarray, "N F"]:
        """Compute the entries of vectors and their pairwise products, since categories are not half-spaces."""
        scaled = (vectors - self._centre) / self._spread
        left, right = np.triu_indices(scaled.shape[1])
        return np.concatenate([scaled, scaled[:, left] * scaled[:, right]], axis=1)

    def _answer(self, vectors: Vectors) -> tuple[Int[np.ndarray, " N"], Float[np.ndarray, " N"]]:
        """Return the likeliest choice of each, and the probability that it is right."""
        probabilities = self._probabilities(self._features(vectors))
        return probabilities.argmax(axis=1), self._calibration.predict(probabilities.max(axis=1))

    def predict(self, vector: Vectors) -> Prediction:
        """Return the likeliest value."""
        (best,), (certainty,) = self._answer(vector)
        value = self._choices[best].item()
        return Prediction(self._name, value, float(certainty), None, float(self.hits.mean()), None)


def _regression(
    features: Float[np.ndarray, "N F"], codes: Int[np.ndarray, " N"], number: int, strength: float
) -> Callable[[np.ndarray], Probabilities]:
    """Fit a multinomial logistic regression of `number` choices, some of which may be missing."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    present = np.unique(codes)
    model = None if len(present) == 1 else LogisticRegression(C=strength, tol=_TOLERANCE, max_iter=1000)
    fitted = model and model.fit(features, codes)

    def probabilities(new: np.ndarray) -> Probabilities:
        answers = np.zeros((len(new), number))
        answers[:, present] = 1.0 if fitted is None else fitted.predict_proba(new)
        return answers

    return probabilities


def _out_of_fold(
    features: Float[np.ndarray, "N F"], codes: Int[np.ndarray, " N"], folds: Int[np.ndarray, " N"], strength: float
) -> Probabilities:
    """Predict each fold by a regression on the other folds."""
    answers = np.zeros((len(codes), codes.max() + 1))
    for fold in np.unique(folds):
        here = folds == fold
        answers[here] = _regression(features[~here], codes[~here], answers.shape[1], strength)(features[here])
    return answers


class _Number:
    """A property that is a number."""

    def __init__(self, name: str, values: np.ndarray, vectors: Vectors, rows: _Rows) -> None:
        self._name = name
        self._values = values[rows.fitted].astype(np.float64)
        self._search = ExactSearch(vectors[rows.fitted])
        tried = [self._out_of_fold(vectors[rows.fitted], rows.folds, width) for width in _WIDTHS]
        errors = [np.abs(mean - self._values) for mean, _ in tried]
        best = int(np.argmin([np.square(error).mean() for error in errors]))
        self._width = _WIDTHS[best]
        self._factor = _conformal_quantile(errors[best] / tried[best][1])
        right = values[rows.apart].astype(np.float64)
        mean, spread = _expected(self._search, self._values, vectors[rows.apart], self._width)
        error = np.abs(mean - right)
        self._coverage = float((error <= self._factor * spread).mean())
        self._score = float(1 - np.square(error).mean() / right.var()) if right.var() else 0.0

    def _out_of_fold(self, vectors: Vectors, folds: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
        """Means and spreads of each fold by its neighbours in the others."""
        means, spreads = np.empty(len(vectors)), np.empty(len(vectors))
        for fold in np.unique(folds):
            here = folds == fold
            others = ExactSearch(vectors[~here])
            means[here], spreads[here] = _expected(others, self._values[~here], vectors[here], width)
        return means, spreads

    def predict(self, vector: Vectors) -> Prediction:
        """Return the expected number and its interval."""
        (mean,), (spread,) = _expected(self._search, self._values, vector, self._width)
        half = self._factor * float(spread)
        interval = (float(mean) - half, float(mean) + half)
        return Prediction(self._name, float(mean), None, interval, self._score, self._coverage)


def _expected(search: Search, values: np.ndarray, vectors: Vectors, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Compute the weighted mean among neighbours, and their spread."""
    distances, rows = search.nearest(vectors, _NEIGHBOURS)
    scale = width * distances[:, min(4, distances.shape[1] - 1), None] + 1e-12
    weights = np.exp(-np.square(distances / scale)) + 1e-12
    weights /= weights.sum(axis=1, keepdims=True)
    there = values[rows]
    mean = (weights * there).sum(axis=1)
    spread = np.sqrt((weights * np.square(there - mean[:, None])).sum(axis=1))
    return mean, spread + 0.1 * values.std() + 1e-12


class PropertyPredictor:
    """Predictor of the properties of new RNNs from those of an index.

    Properties that are unknown for some RNNs, that never vary, or that are bookkeeping (run, seed, split) are left out,
    and so are all if fewer than 20 RNNs can be held out.

    Args:
        index: vectors and properties; RNNs with the same `task` or `run` are held out together, and those with
            `validation` in the column `split` are for validation.
        seed: seed that selects the held-out RNNs, and the folds.
    """

    def __init__(self, index: Index, *, seed: int = 0) -> None:
        generator = numpy_generator(seed, "property prediction")
        runs = _groups(index)
        is_apart = _kept_apart(index.table, runs, generator)
        fitted = generator.permutation(np.flatnonzero(~is_apart))[:_MOST_FITTED]
        apart = generator.permutation(np.flatnonzero(is_apart))[:_MOST_KEPT_APART]
        names, places = np.unique(runs[fitted], return_inverse=True)
        rows = _Rows(fitted, (generator.permutation(len(names)) % _FOLDS)[places], apart)
        self._columns: list[_Column] = []
        if len(apart) >= _FEWEST and len(fitted) >= _FEWEST // 2 and len(names) > 1:
            for name in index.property_names:
                values = _usable(name, index.table.column(name), fitted)
                if values is not None:
                    kind = _Choice if len(np.unique(values)) <= _MOST_CHOICES else _Number
                    self._columns.append(kind(name, values, index.vectors, rows))

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
    """Group the RNNs that do the same by design: those of one task, or the snapshots of one run."""
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
    """Return a property's values if it can be predicted."""
    if name in _BOOKKEEPING or values.null_count:
        return None
    array = np.array(values.to_pylist())
    distinct = len(np.unique(array[fitted]))
    is_number = array.dtype.kind in "fiu"
    return array if distinct > 1 and (is_number or distinct <= _MOST_CHOICES) else None


def _conformal_quantile(errors: np.ndarray) -> float:
    """Estimate the bound below which a new error stays 90 times in 100, from errors of the same kind."""
    level = min(1.0, np.ceil(_COVERAGE * (len(errors) + 1)) / len(errors))
    return float(np.quantile(errors, level, method="higher"))
