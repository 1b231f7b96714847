"""Bayesian identification: what is believed after noisy answers, and which question promises most.

A noisy black box gives a wrong answer now and then, and how often is itself unknown. So the belief is over pairs
(hypothesis, noise level); the hypotheses may include "none of these". Every answer multiplies it by a likelihood.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


class Belief:
    """A distribution over H hypotheses x E noise levels.

    Args:
        prior: probabilities of the hypotheses, summing to 1; all noise levels are equally likely at first.
        num_levels: E.
    """

    def __init__(self, prior: Float[np.ndarray, " H"], num_levels: int) -> None:
        with np.errstate(divide="ignore"):
            self._log = np.repeat(np.log(prior)[:, None] - np.log(num_levels), num_levels, axis=1)

    def update(self, log_likelihood: Float[np.ndarray, "H E"]) -> None:
        """Take an answer into account: its log-likelihood under each hypothesis and level."""
        self._log = self._log + log_likelihood
        self._log -= np.logaddexp.reduce(self._log, axis=None)

    @property
    def joint(self) -> Float[np.ndarray, "H E"]:
        """Probability of each hypothesis with each noise level."""
        return np.exp(self._log)

    @property
    def probabilities(self) -> Float[np.ndarray, " H"]:
        """Probability of each hypothesis."""
        return self.joint.sum(axis=1)


def entropy(probabilities: Float[np.ndarray, "*axes A"]) -> Float[np.ndarray, "*axes"]:
    """Entropy of distributions along the last axis, in nats."""
    return np.asarray(-(probabilities * np.log(np.maximum(probabilities, 1e-30))).sum(axis=-1))


def expected_information(
    probabilities: Float[np.ndarray, " H"], predictions: Float[np.ndarray, "X H A"]
) -> Float[np.ndarray, " X"]:
    """What the answer to each of X questions is expected to tell about the hypothesis, in nats.

    The mutual information of hypothesis and answer (Lindley 1956): the entropy of the answer less the part of it
    that would remain if the hypothesis were known.

    Args:
        probabilities: of the hypotheses.
        predictions: for each question the distribution of its answer under each hypothesis.
    """
    return entropy(np.einsum("h,xha->xa", probabilities, predictions)) - entropy(predictions) @ probabilities
