"""What the RNNs nearby have: predict properties from neighbours in an index, with honest uncertainty.

A choice gets probabilities: the neighbours' votes, weighted by exp(-(distance / width)^2), with a little of the overall
shares mixed in, sharpened or blunted by a temperature. A number gets the weighted mean and an interval that holds 90 %.
Width and temperature are what fits best on runs that were kept apart (the index's `validation` split, where it has
one, since a new RNN may well do what none in the index does), and the uncertainty is measured on kept-apart runs that
did not choose them: half judges half. It needs no training and follows the index as that grows, where a trained
predictor would have to be trained again.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from rnn2vec._seeding import numpy_generator
from rnn2vec.embedding.index.index import Index
from rnn2vec.embedding.index.search import ExactSearch

_NEIGHBOURS = 50
_WIDTHS = (0.5, 1.0, 2.0, 4.0)  # in distances to the fifth neighbour
_TEMPERATURES = (0.5, 0.7, 1.0, 1.4, 2.0)
_PRIOR = 0.5
_COVERAGE = 0.9
_BINS = 15
_MOST_CHOICES = 12
_MOST_KEPT_APART = 2000
_FEWEST = 20
_BOOKKEEPING = {"run", "seed", "split"}


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
    reliability: float
    """Measured on kept-apart RNNs: the expected calibration error of a choice's probability, or the share of numbers
    that their interval holds."""
    score: float
    """Measured there too: the share of choices that are right, or R^2 for a number."""


@dataclass(frozen=True)
class _Settings:
    width: float
    temperature: float


class _Column:
    """One property: predicts it, and knows how well."""

    def __init__(self, name: str, values: np.ndarray, is_choice: bool) -> None:
        self.name = name
        self.is_choice = is_choice
        if is_choice:
            self.choices, self._codes = np.unique(values, return_inverse=True)
            self._hot = np.eye(len(self.choices))[self._codes.reshape(-1)]
        else:
            self._numbers = values.astype(np.float64)
        self.settings = _Settings(1.0, 1.0)
        self.reliability = self.score = float("nan")
        self._relative_width = 0.0

    def probabilities(
        self, distances: np.ndarray, rows: np.ndarray, settings: _Settings, shares: np.ndarray
    ) -> Float[np.ndarray, "Q C"]:
        weights = _weights(distances, settings.width)
        votes = (weights[:, :, None] * self._hot[rows]).sum(axis=1) + _PRIOR * shares
        powered = (votes / votes.sum(axis=1, keepdims=True)) ** (1 / settings.temperature)
        return powered / powered.sum(axis=1, keepdims=True)

    def numbers(
        self, distances: np.ndarray, rows: np.ndarray, settings: _Settings
    ) -> tuple[Float[np.ndarray, " Q"], Float[np.ndarray, " Q"]]:
        """Expected numbers, and how much they differ among neighbours."""
        weights = _weights(distances, settings.width)
        weights = weights / weights.sum(axis=1, keepdims=True)
        there = self._numbers[rows]
        mean = (weights * there).sum(axis=1)
        spread = np.sqrt((weights * np.square(there - mean[:, None])).sum(axis=1))
        return mean, spread + 0.1 * self._numbers.std() + 1e-12

    def shares(self, rows: np.ndarray) -> np.ndarray:
        """Of each choice among the RNNs that vote."""
        return self._hot[rows].mean(axis=0)

    def calibrate(
        self, distances: np.ndarray, rows: np.ndarray, mine: np.ndarray, halves: np.ndarray, voters: np.ndarray
    ) -> None:
        """Choose settings on all kept-apart RNNs; measure, for each half, with the settings that the other chose."""
        if self.is_choice:
            self._calibrate_choice(distances, rows, mine, halves, voters)
        else:
            self._calibrate_number(distances, rows, mine, halves)

    def _calibrate_choice(
        self, distances: np.ndarray, rows: np.ndarray, mine: np.ndarray, halves: np.ndarray, voters: np.ndarray
    ) -> None:
        shares, right = self.shares(voters), self._codes.reshape(-1)[mine]
        candidates = [_Settings(*pair) for pair in itertools.product(_WIDTHS, _TEMPERATURES)]
        answers = [self.probabilities(distances, rows, settings, shares) for settings in candidates]
        costs = np.stack([-np.log(answer[np.arange(len(mine)), right] + 1e-12) for answer in answers])
        self.settings = candidates[int(costs.mean(axis=1).argmin())]
        measured = np.empty_like(answers[0])
        for half in (halves, ~halves):
            measured[half] = answers[int(costs[:, ~half].mean(axis=1).argmin())][half]
        hits = measured.argmax(axis=1) == right
        self.score = float(hits.mean())
        self.reliability = calibration_error(measured.max(axis=1), hits)

    def _calibrate_number(self, distances: np.ndarray, rows: np.ndarray, mine: np.ndarray, halves: np.ndarray) -> None:
        right = self._numbers[mine]
        candidates = [_Settings(width, 1.0) for width in _WIDTHS]
        answers = [self.numbers(distances, rows, settings) for settings in candidates]
        errors = np.stack([np.abs(mean - right) for mean, _ in answers])
        relative = np.stack([error / spread for error, (_, spread) in zip(errors, answers, strict=True)])
        chosen = int(np.square(errors).mean(axis=1).argmin())
        self.settings, self._relative_width = candidates[chosen], _conformal_quantile(relative[chosen])
        held, squared = np.empty(len(mine), dtype=bool), np.empty(len(mine))
        for half in (halves, ~halves):
            best = int(np.square(errors[:, ~half]).mean(axis=1).argmin())
            held[half] = relative[best, half] <= _conformal_quantile(relative[best, ~half])
            squared[half] = np.square(errors[best, half])
        self.reliability = float(held.mean())
        self.score = float(1 - squared.mean() / right.var()) if right.var() > 0 else float("nan")

    def predict(self, distances: np.ndarray, rows: np.ndarray, voters: np.ndarray) -> Prediction:
        """For one RNN: `(1, k)` each."""
        if self.is_choice:
            (probabilities,) = self.probabilities(distances, rows, self.settings, self.shares(voters))
            best = int(probabilities.argmax())
            value, probability, interval = self.choices[best], float(probabilities[best]), None
            value = value.item() if isinstance(value, np.generic) else value
        else:
            (mean,), (spread,) = self.numbers(distances, rows, self.settings)
            half = self._relative_width * spread
            value, probability, interval = float(mean), None, (float(mean - half), float(mean + half))
        return Prediction(self.name, value, probability, interval, self.reliability, self.score)


class NeighbourPredictor:
    """Predicts the properties of an index's RNNs for new ones.

    Properties that few RNNs have, that never vary, or that are bookkeeping (run, seed, split) are left out.

    Args:
        index: vectors and properties.
        seed: draws who is kept apart, and the halves.
    """

    def __init__(self, index: Index, *, seed: int = 0) -> None:
        table, generator = index.table, numpy_generator(seed, "neighbour prediction")
        runs = np.arange(len(index))
        if "run" in index.property_names:
            runs = np.unique(np.array(table.column("run").to_pylist(), dtype=object).astype(str), return_inverse=True)[
                1
            ]
        apart = _kept_apart(table, runs, generator)
        self._voters = np.flatnonzero(~apart)
        kept = generator.permutation(np.flatnonzero(apart))[:_MOST_KEPT_APART]
        self._search = ExactSearch(index.vectors[self._voters])
        self.columns: list[_Column] = []
        if min(len(kept), len(self._voters)) < _FEWEST:
            return
        halves = np.isin(runs[kept], generator.permutation(np.unique(runs[kept]))[::2])
        distances, rows = self._neighbours(index.vectors[kept])
        for name in index.property_names:
            column = _column(name, table.column(name))
            if column is not None and halves.any() and not halves.all():
                column.calibrate(distances, rows, kept, halves, self._voters)
                self.columns.append(column)

    def _neighbours(self, vectors: np.ndarray) -> tuple[np.ndarray, Int[np.ndarray, "Q k"]]:
        distances, places = self._search.nearest(vectors, _NEIGHBOURS)
        return distances, self._voters[places]

    def predict(self, vector: Float[np.ndarray, " Z"]) -> list[Prediction]:
        """Every property of one RNN."""
        distances, rows = self._neighbours(vector[None])
        return [column.predict(distances, rows, self._voters) for column in self.columns]


def _kept_apart(table: pa.Table, runs: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    if "split" in table.column_names:
        apart = np.array([value == "validation" for value in table.column("split").to_pylist()])
        if apart.any():
            return apart
    names = np.unique(runs)
    return np.isin(runs, generator.permutation(names)[: max(1, len(names) // 5)])


def _column(name: str, values: pa.ChunkedArray) -> _Column | None:
    if name in _BOOKKEEPING or values.null_count:
        return None
    array = np.array(values.to_pylist())
    distinct = len(np.unique(array))
    if distinct < 2 or (array.dtype.kind not in "fiub" and distinct > _MOST_CHOICES):
        return None
    return _Column(name, array, is_choice=distinct <= _MOST_CHOICES)


def _weights(distances: np.ndarray, width: float) -> np.ndarray:
    scale = width * distances[:, min(4, distances.shape[1] - 1), None] + 1e-12
    return np.exp(-np.square(distances / scale)) + 1e-12


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
