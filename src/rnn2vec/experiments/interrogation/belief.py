"""Bayesian identification: the posterior after noisy answers, and the expected information of each question.

A noisy black box sometimes gives a wrong answer, at an unknown rate. The belief is therefore a distribution over pairs
(hypothesis, noise level); the hypotheses may include "none of these". Each answer multiplies it by a likelihood.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


class Belief:
    """A distribution over H hypotheses x E noise levels.

    Args:
        prior: probabilities of the hypotheses, summing to 1; all noise levels are equally likely a priori.
        num_levels: number of noise levels, E.
    """

    def __init__(self, prior: Float[np.ndarray, " H"], num_levels: int) -> None:
        with np.errstate(divide="ignore"):
            self._log = np.repeat(np.log(prior)[:, None] - np.log(num_levels), num_levels, axis=1)

    def update(self, log_likelihood: Float[np.ndarray, "H E"]) -> None:
        """Update the belief with an answer's log-likelihood under each hypothesis and noise level."""
        self._log = self._log + log_likelihood
        self._log -= np.logaddexp.reduce(self._log, axis=None)

    @property
    def joint(self) -> Float[np.ndarray, "H E"]:
        """Joint probability of each hypothesis and noise level."""
        return np.exp(self._log)

    @property
    def probabilities(self) -> Float[np.ndarray, " H"]:
        """Marginal probability of each hypothesis."""
        return self.joint.sum(axis=1)


def entropy(probabilities: Float[np.ndarray, "*axes A"]) -> Float[np.ndarray, "*axes"]:
    """Compute the entropy of distributions along the last axis, in nats."""
    return np.asarray(-(probabilities * np.log(np.maximum(probabilities, 1e-30))).sum(axis=-1))


def expected_information(
    probabilities: Float[np.ndarray, " H"], predictions: Float[np.ndarray, "X H A"]
) -> Float[np.ndarray, " X"]:
    """Compute the expected information about the hypothesis from the answer to each of X questions, in nats.

    This is the mutual information of hypothesis and answer (Lindley 1956): the entropy of the answer minus its
    expected entropy given the hypothesis.

    Args:
        probabilities: probability of each hypothesis.
        predictions: distribution of the answer to each question under each hypothesis.
    """
    return entropy(np.einsum("h,xha->xa", probabilities, predictions)) - entropy(predictions) @ probabilities
