"""The learned counterpart: how much an interactive probing encoder knows after each of its own calls.

A pre-trained encoder holds a dialogue with each RNN. What it remembers after each exchange goes through its own last
layer, as if the dialogue ended there, and a logistic regression per letter reads the offsets off this
representation. The encoder is frozen and was never told what a language is; the regression sees the training
languages alone and is judged on others. A call is a step of one sequence: M parallel probes are M calls.
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
    """The representation of each RNN as it stands after each exchange of the dialogue.

    Args:
        encoder: a pre-trained probing encoder.
        rnns: N RNNs that fit it.

    Raises:
        UsageError: the encoder does not probe.
    """
    if not isinstance(encoder, ProbingEncoder):
        raise UsageError(f"{encoder.name} asks nothing", remedy="give a run of a probing encoder.")
    return torch.stack(list(encoder.anytime(rnns))).numpy()


def offset_accuracy(
    train: Float[np.ndarray, "N Z"],
    train_offsets: Int[np.ndarray, "N K"],
    test: Float[np.ndarray, "M Z"],
    test_offsets: Int[np.ndarray, "M K"],
    *,
    strength: float = 10.0,
) -> Float[np.ndarray, " K1"]:
    """How often the offsets of an unseen RNN's language are read off its representation: all of them, then each.

    Args:
        train: representations to fit a logistic regression per offset to.
        train_offsets: their languages.
        test: representations to judge it on.
        test_offsets: their languages.
        strength: inverse strength of the regression's regularization, scikit-learn's `C`.
    """
    right = np.zeros(test_offsets.shape, dtype=bool)
    for column in range(train_offsets.shape[1]):
        predictor = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000))
        predictor.fit(train, train_offsets[:, column])
        right[:, column] = predictor.predict(test) == test_offsets[:, column]
    return np.array([right.all(axis=1).mean(), *right.mean(axis=0)])


def offsets_of(tasks: Sequence[Sequence[float]]) -> Int[np.ndarray, "N K"]:
    """The tasks of RNNs as whole numbers."""
    return np.array(tasks).astype(np.int64)
