"""Noisy functions, and the interrogator that takes noise into account.

A noisy function gives a random answer at an unknown rate, independently in every call. The proofs of Section 3.1 then
no longer hold: one wrong answer leads a decision tree to the wrong branch. The Bayesian interrogator asks the question
with the largest expected information about the identity, repeats questions if necessary, and stops when it is confident
or its budget is spent. In the latter case it returns None instead of guessing.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from rnn2vec.experiments.interrogation.belief import Belief, expected_information
from rnn2vec.experiments.interrogation.examination import Ask
from rnn2vec.experiments.interrogation.functions import FunctionSet, TotalFunction


@dataclass(frozen=True)
class NoisyFunction:
    """A function whose answers are sometimes random."""

    function: TotalFunction
    """Function without noise."""
    error_rate: float
    """Probability of an answer drawn uniformly from `answers`."""
    answers: Sequence[Hashable]
    """All possible answers."""
    generator: np.random.Generator
    """Source of randomness."""

    @property
    def identity(self) -> Hashable:
        """Identity of the function without noise."""
        return self.function.identity

    def __call__(self, x: Hashable, /) -> Hashable:
        """Return the function's answer, or a random one at the error rate."""
        if self.generator.random() < self.error_rate:
            return self.answers[int(self.generator.integers(len(self.answers)))]
        return self.function(x)


@dataclass(frozen=True)
class Verdict:
    """The outcome of a Bayesian interrogation."""

    identity: Hashable
    """Identity of the function; None if the interrogator is not confident, or confident that it is no member."""
    confidence: float
    """Probability of the most likely hypothesis, "none of these" included."""


class BayesianInterrogator:
    """Sequential identification with a confidence target and a budget.

    Args:
        functions: the set to identify members of.
        error_rates: possible rates of random answers, all equally likely a priori.
        confidence: probability of the most likely hypothesis at which the interrogation stops.
        budget: maximum number of calls.
        unknown_prior: prior probability that the function is not a member; its answers are then modelled as uniform.
    """

    def __init__(
        self,
        functions: FunctionSet,
        *,
        error_rates: Sequence[float] = (0.01, 0.05, 0.2),
        confidence: float = 0.99,
        budget: int = 1000,
        unknown_prior: float = 0.0,
    ) -> None:
        self._inputs = tuple(functions.enumerate_inputs())
        self._identities = (*functions.identities, None)
        self._rates = np.asarray(error_rates)
        self._confidence = confidence
        self._budget = budget
        self._prior = np.append(np.full(len(functions), (1 - unknown_prior) / len(functions)), unknown_prior)
        answers = [[function(x) for function in functions.functions] for x in self._inputs]
        self.answers: tuple[Hashable, ...] = tuple(dict.fromkeys(answer for row in answers for answer in row))
        codes = {answer: code for code, answer in enumerate(self.answers)}
        sure = np.eye(len(self.answers))[[[codes[answer] for answer in row] for row in answers]]
        self._sure = np.concatenate([sure, np.full_like(sure[:, :1], 1 / len(self.answers))], axis=1)  # (X, H, A)

    def question(self, ask: Ask) -> Verdict:
        """Ask until confident or out of budget, and return the verdict."""
        belief = Belief(self._prior, len(self._rates))
        for _ in range(self._budget):
            if belief.probabilities.max() >= self._confidence:
                break
            probe = self._most_informative(belief)
            answer = ask(self._inputs[probe])
            code = self.answers.index(answer) if answer in self.answers else None
            belief.update(self._log_likelihood(probe, code))
        return self._verdict(belief)

    def interrogate(self, ask: Ask) -> Hashable:
        """Return the identity in the verdict of `question`."""
        return self.question(ask).identity

    def _most_informative(self, belief: Belief) -> int:
        joint = belief.joint
        rate = joint @ self._rates / np.maximum(joint.sum(axis=1), 1e-300)  # expected, for each hypothesis
        mixed = (1 - rate[:, None]) * self._sure + rate[:, None] / len(self.answers)
        return int(expected_information(belief.probabilities, mixed).argmax())

    def _log_likelihood(self, probe: int, code: int | None) -> np.ndarray:
        # An answer that no member gives is certainly random: it is evidence about the rate, not about the identity.
        sure = self._sure[probe, :, code] if code is not None else np.zeros(len(self._prior))
        likelihood = (1 - self._rates) * sure[:, None] + self._rates / len(self.answers)
        return np.log(np.maximum(likelihood, 1e-300))

    def _verdict(self, belief: Belief) -> Verdict:
        likely = belief.probabilities
        best = int(likely.argmax())
        confidence = float(likely[best])
        return Verdict(self._identities[best] if confidence >= self._confidence else None, confidence)
