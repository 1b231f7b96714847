"""Simple predictors that a prediction from representations must beat.

`constant` makes the same prediction for every RNN: the mean of the training data, or the frequency of each choice. The
others are fitted to features with scikit-learn's defaults: `linear` is ridge or logistic regression, `trees` is
gradient
boosting. Their features are *statistics* of the weights (`encoders.statistics.layer_statistics`), which need no
training. For frozen encoders, `linear` is also fitted to the representation, to show its content without an MLP.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from rnn2vec._progress import Progress, silent
from rnn2vec.properties.data import TRAIN, PropertyData
from rnn2vec.properties.scores import Outputs
from rnn2vec.tasks.base import Property

Features = Mapping[str, Float[np.ndarray, "_ F"]]
"""Features of the RNNs of each part."""
Learner = Literal["linear", "trees"]

_RAREST = 1e-6
"""Smallest probability, since the logit of 0 is infinite."""


def on_statistics(
    data: PropertyData, features: Features, *, seed: int, progress: Progress = silent
) -> dict[str, dict[str, Outputs]]:
    """Compute the predictions of the baselines that need no encoder, by baseline and part.

    Args:
        data: the property to predict.
        features: statistics of the RNNs' weights.
        seed: seed of the trees.
        progress: callback that receives the number of baselines done.
    """
    answers = {"constant": _constant(data)}
    learners: tuple[Learner, ...] = ("linear", "trees")
    for done, learner in enumerate(learners):
        progress(done, len(learners), f"{learner} on statistics")
        answers[f"{learner} on statistics"] = learned(data, features, learner, seed)
    progress(len(learners), len(learners), "done")
    return answers


def _constant(data: PropertyData) -> dict[str, Outputs]:
    mean = data.targets[TRAIN].mean(axis=0, dtype=np.float64)
    answer = mean if data.property.categories is None else _logits(data.property, mean[None])[0]
    return {part: np.tile(answer, (len(rows), 1)) for part, rows in data.rows.items()}


def learned(data: PropertyData, features: Features, learner: Learner, seed: int) -> dict[str, Outputs]:
    """Fit a learner to each column of the property; return the predictions of each part.

    Args:
        data: the property to predict.
        features: features of the RNNs of each part.
        learner: `linear` or `trees`.
        seed: seed of the learner.
    """
    prop = data.property
    is_numeric = prop.categories is None
    targets = np.split(data.targets[TRAIN], len(prop.columns), axis=1)
    by_column = [
        _one_column(_new_learner(learner, seed, is_numeric=is_numeric), features, one, prop) for one in targets
    ]
    joined = {part: np.concatenate([column[part] for column in by_column], axis=1) for part in features}
    return joined if is_numeric else {part: _logits(prop, one) for part, one in joined.items()}


def _one_column(
    model: Any, features: Features, targets: Float[np.ndarray, "M K"], prop: Property
) -> dict[str, Float[np.ndarray, "_ K"]]:
    """Predict numbers `(M, 1)`, or the probability of each of K choices."""
    if prop.categories is None:
        model.fit(features[TRAIN], targets[:, 0])
        return {part: model.predict(one)[:, None] for part, one in features.items()}
    choices = targets.argmax(axis=1)
    answers = {part: np.zeros((len(one), targets.shape[1])) for part, one in features.items()}
    seen = np.unique(choices)
    if len(seen) == 1:  # nothing to learn, which scikit-learn refuses
        return {part: answer + (np.arange(targets.shape[1]) == seen) for part, answer in answers.items()}
    model.fit(features[TRAIN], choices)
    for part, one in features.items():
        answers[part][:, seen] = model.predict_proba(one)
    return answers


def _new_learner(learner: Learner, seed: int, *, is_numeric: bool) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor  # noqa: PLC0415
    from sklearn.linear_model import LogisticRegression, Ridge  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    if learner == "linear":
        return make_pipeline(StandardScaler(), Ridge() if is_numeric else LogisticRegression(max_iter=2000))
    kind: Any = HistGradientBoostingRegressor if is_numeric else HistGradientBoostingClassifier
    return kind(early_stopping=False, random_state=seed)


def _logits(prop: Property, probabilities: Float[np.ndarray, "M D"]) -> Outputs:
    """Convert probabilities to the logits that the property's loss expects."""
    kept = np.clip(probabilities, _RAREST, 1 - _RAREST)
    odds = kept / (1 - kept) if prop.loss == "binary-cross-entropy" else kept
    return np.log(odds)
