"""Bayesian identification of the language that an RNN generates, by steps alone.

This is the classical counterpart of the learned probing encoders. It has a model of every language of the family
(`LanguageModel`) and observes only the RNN's answers to steps. Its verdict is a language, "none of these", or undecided
when no hypothesis reaches the confidence target within the budget.

**An answer counts as `weight` samples.** An RNN answers with a distribution q. For a hypothesis with distribution p and
noise level e, the log-likelihood is `weight * sum_o q_o log((1 - e) p_o + e / O)`. "None of these" allows any answer: q
is then uniform over all distributions. If a prefix does not occur in a language, an RNN trained on that language has
never visited it. Trained RNNs usually answer such a prefix like another language that contains it and that explains
their answers so far. The likelihood is therefore an equal mixture of that prediction and of any answer. (Without
weighting those languages by their posterior, a^n b^(n-3) was mistaken for a^n b^(n-2) after `aaab`, in 6 of 100 RNNs.)

The hypotheses are closed: a half-trained RNN, or one that has learned a language outside the family, is identified as
the language whose answers it resembles most (`docs/theory.md` has numbers).

**The next step** leads towards the prefix with the most expected information per step, counting all answers on the
path. A sequence can be restarted at any time; a restart is free, and every step counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.special import gammaln

from rnn2vec.rnn.blackbox import BlackBox
from rnn2vec.rnn.budget import BudgetedBlackBox
from rnn2vec.tasks.formal_languages import FormalLanguages, Language


class LanguageModel:
    """The prefix tree of a family's languages, with each language's next-token distributions.

    Nodes are ordered by depth. Node 0 is BOS.

    Args:
        family: family of the languages.
        languages: the H hypotheses; by default all languages of the family.
        longest_run: maximum number of a's in a prefix. Short strings are as informative as long ones and need fewer
            steps; offsets down to -3 become visible after four a's.
    """

    def __init__(
        self, family: FormalLanguages, languages: Sequence[Language] | None = None, *, longest_run: int = 5
    ) -> None:
        self.languages = tuple(family.languages if languages is None else languages)
        self.num_tokens = family.output_size
        counts = _next_tokens(family, self.languages, longest_run)
        prefixes = sorted(counts, key=lambda prefix: (len(prefix), prefix))
        numbers = {prefix: number for number, prefix in enumerate(prefixes)}
        weights = np.zeros((len(prefixes), len(self.languages), self.num_tokens), dtype=np.float32)
        for prefix, number in numbers.items():
            for language, after in counts[prefix].items():
                weights[number, language] = after
        self.allowed: Bool[np.ndarray, "X H"] = weights.sum(axis=2) > 0
        """Mask of the prefixes (X) that occur in each language (H)."""
        self.predictions: Float[np.ndarray, "X H O"] = weights / np.maximum(weights.sum(axis=2, keepdims=True), 1e-9)
        """Next-token distributions; zeros where the prefix does not occur in the language."""
        self.tokens: Int[np.ndarray, " X"] = np.array([prefix[-1] for prefix in prefixes])
        """Last token of each node's prefix: the input that leads from its parent to the node."""
        self.depths: Int[np.ndarray, " X"] = np.array([len(prefix) for prefix in prefixes])
        """Number of steps from the start of a sequence; 1 for BOS."""
        self.parents: Int[np.ndarray, " X"] = np.array([numbers.get(prefix[:-1], -1) for prefix in prefixes])
        """Parent of each node; -1 for BOS."""

    def __len__(self) -> int:
        return len(self.tokens)

    def path(self, node: int) -> list[int]:
        """List the nodes on the path from BOS to a node, both included."""
        path = [node]
        while path[-1]:
            path.append(int(self.parents[path[-1]]))
        return path[::-1]


def _next_tokens(
    family: FormalLanguages, languages: Sequence[Language], longest_run: int
) -> dict[bytes, dict[int, np.ndarray]]:
    """Count the tokens that follow each prefix in each language."""
    counts: dict[bytes, dict[int, np.ndarray]] = {}
    for number, language in enumerate(languages):
        for row in family.sequences(language):
            end = int(np.argmax(row == family.eos))  # tokens after EOS are padding
            for length in range(1, end + 1):
                prefix = row[:length].tobytes()
                if prefix.count(0) > longest_run:
                    break
                after = counts.setdefault(prefix, {}).setdefault(number, np.zeros(family.output_size))
                after[row[length]] += 1
    return counts


class Belief:
    """A distribution over H hypotheses x E noise levels; the noise of an RNN's answers is unknown.

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
    def probabilities(self) -> Float[np.ndarray, " H"]:
        """Marginal probability of each hypothesis."""
        return np.exp(self._log).sum(axis=1)


def entropy(probabilities: Float[np.ndarray, "*axes A"]) -> Float[np.ndarray, "*axes"]:
    """Compute the entropy of distributions along the last axis, in nats."""
    return np.asarray(-(probabilities * np.log(np.maximum(probabilities, 1e-30))).sum(axis=-1))


@dataclass(frozen=True)
class Identification:
    """The outcome of interrogating one RNN."""

    language: int | None
    """Number of the language; None if not confident, or if the verdict is "none of these"."""
    is_unknown: bool
    """True if the verdict is that the RNN generates none of the languages."""
    confidence: float
    """Probability of the most likely hypothesis."""
    calls: int
    """Number of steps, as counted by the black box."""
    guesses: Int[np.ndarray, " calls"]
    """Most likely language after each step, regardless of confidence."""


class LanguageInterrogator:
    """A Bayesian interrogator that identifies RNNs among the languages of a model.

    Args:
        model: the hypotheses and their predictions.
        confidence: probability of a hypothesis at which the interrogation stops.
        budget: maximum number of steps.
        weight: number of samples that one answer counts for.
        noise_levels: possible noise levels, all equally likely a priori.
        unknown_prior: prior probability of "none of these".
    """

    def __init__(
        self,
        model: LanguageModel,
        *,
        confidence: float = 0.99,
        budget: int = 40,
        weight: float = 8.0,
        noise_levels: tuple[float, ...] = (0.001, 0.01, 0.05, 0.2),
        unknown_prior: float = 0.1,
    ) -> None:
        self._model = model
        self._confidence = confidence
        self._budget = budget
        self._weight = weight
        self._levels = np.asarray(noise_levels)
        num_languages = len(model.languages)
        self._prior = np.append(np.full(num_languages, (1 - unknown_prior) / num_languages), unknown_prior)
        self._plan = _Plan(model, noise=0.05)

    @torch.no_grad()
    def identify(self, box: BlackBox) -> Identification:
        """Interrogate one RNN.

        Args:
            box: black box of a single RNN whose inputs are the family's tokens.
        """
        counted = BudgetedBlackBox(box)
        belief = Belief(self._prior, len(self._levels))
        answered: set[int] = set()
        guesses: list[int] = []
        node, state = -1, None
        while counted.calls_made < self._budget and belief.probabilities.max() < self._confidence:
            following = self._plan.next(belief.probabilities, node, answered)
            if self._model.parents[following] != node or state is None:
                state = counted.initial_state(1)
            token = torch.zeros(1, 1, box.input_size)
            token[..., self._model.tokens[following]] = 1.0
            outputs, state = counted.step(token, state)
            node = following
            if node not in answered:  # an RNN gives the same answer to the same prefix
                answered.add(node)
                answer = outputs[0, 0].double().softmax(dim=-1).numpy()
                belief.update(self._log_likelihood(node, answer, belief.probabilities))
            guesses.append(int(belief.probabilities[:-1].argmax()))
        return self._verdict(belief, counted.calls_made, guesses)

    def _log_likelihood(
        self, node: int, answer: Float[np.ndarray, " O"], believed: Float[np.ndarray, " H1"]
    ) -> Float[np.ndarray, "H1 E"]:
        """Compute the log-likelihood of an answer under each language and, last, under "none of these"."""
        expected = self._model.predictions[node][:, None, :].astype(float)
        noisy = (1 - self._levels[:, None]) * expected + self._levels[:, None] / len(answer)
        own = self._weight * np.log(noisy) @ answer  # (H, E)
        anything = _log_dirichlet_multinomial(self._weight * answer)
        allowed = self._model.allowed[node]
        shares = np.maximum(believed[:-1][allowed, None], 1e-12)
        like_another = np.logaddexp.reduce(own[allowed] + np.log(shares / shares.sum()), axis=0)
        elsewhere = np.logaddexp(like_another, anything) - np.log(2)
        languages = np.where(allowed[:, None], own, elsewhere)
        return np.concatenate([languages, np.full((1, len(self._levels)), anything)])

    def _verdict(self, belief: Belief, calls: int, guesses: list[int]) -> Identification:
        likely = belief.probabilities
        best, num_languages = int(likely.argmax()), len(self._model.languages)
        sure = bool(likely[best] >= self._confidence)
        return Identification(
            language=best if sure and best < num_languages else None,
            is_unknown=sure and best == num_languages,
            confidence=float(likely[best]),
            calls=calls,
            guesses=np.array(guesses),
        )


class _Plan:
    """The rule that chooses the next step.

    Args:
        model: tree of prefixes with its predictions.
        noise: noise level assumed when predicting answers.
    """

    def __init__(self, model: LanguageModel, *, noise: float) -> None:
        self._model = model
        self._noise = noise
        num_nodes, num_languages, num_tokens = model.predictions.shape
        noisy = (1 - noise) * model.predictions + noise / num_tokens
        self._entropies = (entropy(noisy) * model.allowed).astype(np.float32)
        self._allowed = model.allowed.astype(np.float32)
        self._by_language = np.ascontiguousarray(model.predictions.transpose(1, 0, 2).reshape(num_languages, -1))
        self._shape = num_nodes, num_tokens
        self._levels = [np.flatnonzero(model.depths == depth) for depth in range(1, int(model.depths.max()) + 1)]

    def _information(self, probabilities: Float[np.ndarray, " H1"]) -> Float[np.ndarray, " X"]:
        """Compute the expected information of the answer at each node about the hypothesis, in nats (Lindley 1956).

        This is the entropy of the answer minus its expected entropy given the hypothesis.
        """
        likely, unknown = probabilities[:-1].astype(np.float32), probabilities[-1]
        reached = np.maximum(self._allowed @ likely, 1e-9)
        ordinary = (likely @ self._by_language).reshape(self._shape) / reached[:, None]
        elsewhere = np.maximum(1 - unknown - reached, 0.0)  # languages without the prefix answer like those with it
        uniform = 1 / self._shape[1]
        noisy = (1 - self._noise) * ordinary + self._noise * uniform
        mixed = (1 - unknown) * noisy + unknown * uniform
        remains = self._entropies @ likely + elsewhere * entropy(noisy) + unknown * np.log(self._shape[1])
        return entropy(mixed) - remains

    def next(self, probabilities: Float[np.ndarray, " H1"], node: int, answered: set[int]) -> int:
        """Choose the next node: a child of the current one, or BOS to restart.

        Args:
            probabilities: probability of each language and, last, of "none of these".
            node: current node of the sequence; -1 before its first step.
            answered: nodes whose answer is known, which carry no further information.
        """
        gain = self._information(probabilities)
        gain[list(answered)] = 0.0
        total, is_below = gain, np.zeros(len(gain), dtype=bool)
        if node >= 0:
            is_below[node] = True
        for level in self._levels[1:]:
            parents = self._model.parents[level]
            total[level] += total[parents]
            is_below[level] |= is_below[parents]
        steps = self._model.depths - np.where(is_below, self._model.depths[max(node, 0)], 0)
        # The answers along a path overlap; together they cannot exceed the remaining entropy.
        rate = np.minimum(total, entropy(probabilities)) / np.maximum(steps, 1)
        rate[steps == 0] = -1.0
        target = int(rate.argmax())
        path = self._model.path(target)
        return path[path.index(node) + 1] if is_below[target] else path[0]


def _log_dirichlet_multinomial(counts: Float[np.ndarray, " O"]) -> float:
    """Compute the log-probability of a sequence with these (fractional) counts, under a uniform prior."""
    total = counts.sum()
    return float(gammaln(len(counts)) - gammaln(len(counts) + total) + gammaln(1 + counts).sum())
