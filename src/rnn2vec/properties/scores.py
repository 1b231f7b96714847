"""Scores of property predictions: the property's loss, and measures that are easier to interpret.

| property | loss | other measures |
|---|---|---|
| several choices (the task, three-hot) | binary cross-entropy | share correct, of all and of each; calibration |
| one choice (the training step) | cross-entropy | the same |
| a number (performance) | mean squared error | R^2; the angular error if it is an angle |

The *calibration error* is the expected calibration error (Guo et al. 2017): predictions are sorted by their probability
into 15 bins of equal width; it is the mean distance between that probability and the share of correct predictions,
weighted by the number of predictions in each bin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from rnn2vec.tasks.base import Property

_BINS = 15

Outputs = Float[np.ndarray, "_ D"]
"""Predictions: logits of categorical properties, otherwise numbers in the property's unit."""


@dataclass(frozen=True)
class Score:
    """Scores of the predictions for M RNNs; measures that do not apply to a property are None."""

    num_rnns: int
    """Number of RNNs, M."""
    loss: float
    """Mean of the property's loss, in nats or in the square of the property's unit."""
    accuracy: float | None = None
    """Share of RNNs with every choice correct."""
    column_accuracy: dict[str, float] | None = None
    """Share of RNNs with each single choice correct, by column."""
    calibration_error: float | None = None
    """Expected calibration error, from 0 to 1."""
    r_squared: float | None = None
    """R squared: 1 for perfect predictions, 0 for those of the mean of these RNNs; None if all RNNs are equal."""
    root_mean_squared_error: float | None = None
    """Root mean squared error, in the property's unit."""
    angular_error: float | None = None
    """Mean distance on the circle, in the property's unit."""


def loss_function(prop: Property) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the property's loss, a function of outputs and targets `(M, D)` to their mean loss."""
    if prop.loss == "mean-squared-error":
        return functional.mse_loss
    if prop.loss == "binary-cross-entropy":
        return functional.binary_cross_entropy_with_logits
    columns = len(prop.columns)

    def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
        choices = targets.unflatten(1, (columns, -1)).argmax(dim=2)
        return functional.cross_entropy(outputs.unflatten(1, (columns, -1)).transpose(1, 2), choices)

    return cross_entropy


def score(prop: Property, outputs: Outputs, targets: Float[np.ndarray, "M D"]) -> Score:
    """Compare predictions with targets.

    Args:
        prop: the property, with its categories.
        outputs: predictions.
        targets: targets in the form of `Property.target`.
    """
    answered, right = (torch.from_numpy(np.asarray(one, dtype=np.float64)) for one in (outputs, targets))
    loss = float(loss_function(prop)(answered, right))
    if prop.categories is None:
        return _score_numbers(prop, loss, answered.numpy(), right.numpy())
    return _score_choices(prop, loss, answered, right)


def _score_choices(prop: Property, loss: float, outputs: Tensor, targets: Tensor) -> Score:
    by_column = outputs.unflatten(1, (len(prop.columns), -1))  # (M, columns, categories)
    probabilities = by_column.sigmoid() if prop.loss == "binary-cross-entropy" else by_column.softmax(dim=2)
    confidence, choices = probabilities.max(dim=2)
    right = (choices == targets.unflatten(1, (len(prop.columns), -1)).argmax(dim=2)).numpy()
    return Score(
        num_rnns=len(outputs),
        loss=loss,
        accuracy=float(right.all(axis=1).mean()),
        column_accuracy={name: float(share) for name, share in zip(prop.columns, right.mean(axis=0), strict=True)},
        calibration_error=calibration_error(confidence.numpy().ravel(), right.ravel()),
    )


def _score_numbers(prop: Property, loss: float, outputs: np.ndarray, targets: np.ndarray) -> Score:
    errors = outputs - targets
    total = np.square(targets - targets.mean(axis=0)).sum()
    angular, angles = None, [prop.angles(numbers) for numbers in (outputs, targets)]
    if prop.period is not None and angles[0] is not None and angles[1] is not None:
        around = (angles[0] - angles[1] + prop.period / 2) % prop.period - prop.period / 2
        angular = float(np.abs(around).mean())
    return Score(
        num_rnns=len(outputs),
        loss=loss,
        r_squared=float(1 - np.square(errors).sum() / total) if total > 0 else None,
        root_mean_squared_error=float(np.sqrt(np.square(errors).mean())),
        angular_error=angular,
    )


def calibration_error(confidence: Float[np.ndarray, " A"], right: Bool[np.ndarray, " A"]) -> float:
    """Compute the expected calibration error of A predictions.

    Args:
        confidence: probability of each prediction.
        right: mask of the correct predictions.
    """
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gaps = np.bincount(bins, weights=confidence - right, minlength=_BINS)  # number times (confidence - share correct)
    return float(np.abs(gaps).sum() / len(confidence))
