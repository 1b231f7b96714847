"""How good predictions of a property are: its loss, and what a reader understands.

| the property is | loss | besides |
|---|---|---|
| several choices (the task, three-hot) | binary cross-entropy | share with all right, and with each; calibration |
| one choice (the training step) | cross-entropy | the same |
| a number (performance) | mean squared error | R^2; the angular error when it is an angle |

The *calibration error* is the expected calibration error (Guo et al. 2017): answers are sorted by the probability
that the predictor gives to them into 15 bins of equal width; it is the mean distance between that probability and the
share of right answers, weighted by the answers in each bin.
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
"""What a predictor answers: logits where the property is a choice, otherwise numbers in the property's unit."""


@dataclass(frozen=True)
class Score:
    """How good the predictions for M RNNs are. What has no meaning for a property is None."""

    num_rnns: int
    """M."""
    loss: float
    """The mean of the property's loss, in nats or in the square of the property's unit."""
    accuracy: float | None = None
    """Share of RNNs for which every choice is right."""
    column_accuracy: dict[str, float] | None = None
    """The same for each choice by itself, by column."""
    calibration_error: float | None = None
    """Expected calibration error, from 0 to 1."""
    r_squared: float | None = None
    """1 when all is right, 0 for the mean of these RNNs, below when that would have been better; None where all are
    equal."""
    root_mean_squared_error: float | None = None
    """In the property's unit."""
    angular_error: float | None = None
    """Mean distance on the circle, in the property's unit."""


def loss_function(prop: Property) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss that the property declares: outputs and targets `(M, D)` to its mean."""
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
    """Compare predictions with what should have been answered.

    Args:
        prop: what is predicted, its categories known.
        outputs: what was answered.
        targets: as `Property.target` makes them.
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
    """The expected calibration error of A answers.

    Args:
        confidence: the probability that was given to each answer.
        right: whether it was right.
    """
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gaps = np.bincount(bins, weights=confidence - right, minlength=_BINS)  # answers times (confidence - share right)
    return float(np.abs(gaps).sum() / len(confidence))
