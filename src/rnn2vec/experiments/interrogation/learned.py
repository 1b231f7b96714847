"""The learned counterpart: accuracy of an interactive probing encoder after each of its calls.

A pre-trained encoder conducts a dialogue with each RNN. After each exchange, its memory goes through its own last layer
as if the dialogue ended there, and one logistic regression per letter predicts the offset from this representation. The
encoder is frozen and had no language labels in pre-training; the regressions are fitted on the training languages only
and evaluated on others. A call is one step of one sequence, so M parallel probes make M calls per step.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rnn2vec._errors import UsageError
from rnn2vec.encoders.base import WeightEncoder
from rnn2vec.encoders.probing import ProbingEncoder
from rnn2vec.rnn.stack import RNNStack


@torch.no_grad()
def representations_along(encoder: WeightEncoder, rnns: RNNStack) -> Float[np.ndarray, "L N Z"]:
    """Compute the representation of each RNN after each of the L exchanges of the dialogue.

    Args:
        encoder: a pre-trained probing encoder.
        rnns: N RNNs that the encoder accepts.

    Raises:
        UsageError: if the encoder does not probe.
    """
    if not isinstance(encoder, ProbingEncoder):
        raise UsageError(f"{encoder.name} does not probe", remedy="give a run of a probing encoder.")
    return torch.stack(list(encoder.anytime(rnns))).numpy()


def offset_accuracy(
    train: Float[np.ndarray, "N Z"],
    train_offsets: Int[np.ndarray, "N K"],
    test: Float[np.ndarray, "M Z"],
    test_offsets: Int[np.ndarray, "M K"],
    *,
    strength: float = 10.0,
) -> Float[np.ndarray, " K1"]:
    """Compute the accuracy of predicting the offsets of a language from a representation.

    Args:
        train: representations on which one logistic regression per offset is fitted.
        train_offsets: K offsets of their languages.
        test: representations on which the regressions are evaluated.
        test_offsets: K offsets of their languages.
        strength: inverse strength of the regularization, scikit-learn's `C`.

    Returns:
        The share of test RNNs with all offsets correct, then the share with each single offset correct.
    """
    right = np.zeros(test_offsets.shape, dtype=bool)
    for column in range(train_offsets.shape[1]):
        predictor = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000))
        predictor.fit(train, train_offsets[:, column])
        right[:, column] = predictor.predict(test) == test_offsets[:, column]
    return np.array([right.all(axis=1).mean(), *right.mean(axis=0)])


def offsets_of(tasks: Sequence[Sequence[float]]) -> Int[np.ndarray, "N K"]:
    """Convert the tasks of N RNNs to integer offsets."""
    return np.array(tasks).astype(np.int64)
