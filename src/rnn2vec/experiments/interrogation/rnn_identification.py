"""Which language does this RNN generate? Bayesian identification through steps alone.

The classical counterpart of the learned probing encoders: it knows all languages of the family and what each would
answer (`LanguageModel`), it sees nothing of the RNN but answers to steps, and it says who the RNN is when it is
confident, that it is none of them, or that it cannot tell within its budget.

**An answer is evidence as `weight` samples of it would be.** An RNN answers with a distribution q. With p the
hypothesis' distribution and noise level e, the log-likelihood is `weight * sum_o q_o log((1 - e) p_o + e / O)`. "None
of these" may answer anything: q then comes from a uniform distribution over distributions. And where a prefix does not
belong to a language, an RNN that learned it has never been there. Trained RNNs then carry on as if nothing were wrong:
they answer like a language that has the prefix and has explained their answers so far. So that is what is expected
half of the time, and anything else the other half. (Taking them to answer like *any* language that has the prefix let
a^n b^(n-3) pass for a^n b^(n-2) after `aaab`, in 6 of 100 RNNs.)

It chooses among those it knows: an RNN that is half-trained, or has learned a language from outside the family, passes
for the language whose answers it resembles most (`docs/theory.md` has numbers).

**The next step** goes towards the prefix that promises most information per step, along the way and at its end. A
sequence can be begun again at any time; beginning costs nothing, every step counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.special import gammaln

from rnn2vec._shapes import InputStep, OutputStep
from rnn2vec.experiments.interrogation.belief import Belief, entropy
from rnn2vec.experiments.interrogation.language_model import LanguageModel
from rnn2vec.rnn.blackbox import BlackBox


class CountedBlackBox:
    """A black box that counts how often it steps; each sequence of each RNN counts.

    Args:
        box: what is counted.
    """

    def __init__(self, box: BlackBox) -> None:
        self._box = box
        self.calls = 0
        self.num_rnns = box.num_rnns
        self.input_size = box.input_size
        self.output_size = box.output_size
        self.input_kind = box.input_kind
        self.output_kind = box.output_kind

    def initial_state(self, num_sequences: int) -> Any:
        """See `BlackBox.initial_state`; free."""
        return self._box.initial_state(num_sequences)

    def step(self, inputs: InputStep, state: Any) -> tuple[OutputStep, Any]:
        """See `BlackBox.step`."""
        self.calls += inputs.shape[0] * inputs.shape[1]
        return self._box.step(inputs, state)


@dataclass(frozen=True)
class Identification:
    """What an interrogation of one RNN came to."""

    language: int | None
    """Number of the language; None when not confident, or when it is none of them."""
    is_stranger: bool
    """Whether it is confident that the RNN generates none of the languages."""
    confidence: float
    """Probability of the most likely hypothesis."""
    calls: int
    """Steps that the RNN took, as the black box counted them."""
    guesses: Int[np.ndarray, " calls"]
    """The most likely language after each step, confident or not."""


class LanguageInterrogator:
    """Identifies RNNs among the languages of a model.

    Args:
        model: the languages.
        confidence: stop when a hypothesis is at least this likely.
        budget: most steps.
        weight: samples that an answer counts for.
        noise_levels: what the noise level may be, all equally likely.
        stranger: prior probability of "none of these".
    """

    def __init__(
        self,
        model: LanguageModel,
        *,
        confidence: float = 0.99,
        budget: int = 40,
        weight: float = 8.0,
        noise_levels: tuple[float, ...] = (0.001, 0.01, 0.05, 0.2),
        stranger: float = 0.1,
    ) -> None:
        self._model = model
        self._confidence = confidence
        self._budget = budget
        self._weight = weight
        self._levels = np.asarray(noise_levels)
        num_languages = len(model.languages)
        self._prior = np.append(np.full(num_languages, (1 - stranger) / num_languages), stranger)
        self._plan = _Plan(model, noise=0.05)

    @torch.no_grad()
    def identify(self, box: BlackBox) -> Identification:
        """Question one RNN.

        Args:
            box: a black box with one RNN in it, over the family's tokens.
        """
        counted = CountedBlackBox(box)
        belief = Belief(self._prior, len(self._levels))
        heard: set[int] = set()
        guesses: list[int] = []
        node, state = -1, None
        while counted.calls < self._budget and belief.probabilities.max() < self._confidence:
            following = self._plan.next(belief.probabilities, node, heard)
            if self._model.parents[following] != node or state is None:
                state = counted.initial_state(1)
            token = torch.zeros(1, 1, box.input_size)
            token[..., self._model.tokens[following]] = 1.0
            outputs, state = counted.step(token, state)
            node = following
            if node not in heard:  # an RNN gives the same answer to the same prefix
                heard.add(node)
                answer = outputs[0, 0].double().softmax(dim=-1).numpy()
                belief.update(self._log_likelihood(node, answer, belief.probabilities))
            guesses.append(int(belief.probabilities[:-1].argmax()))
        return self._verdict(belief, counted.calls, guesses)

    def _log_likelihood(
        self, node: int, answer: Float[np.ndarray, " O"], believed: Float[np.ndarray, " H1"]
    ) -> Float[np.ndarray, "H1 E"]:
        """Of one answer under each language, and last under "none of these"."""
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
            is_stranger=sure and best == num_languages,
            confidence=float(likely[best]),
            calls=calls,
            guesses=np.array(guesses),
        )


class _Plan:
    """Chooses the next step.

    Args:
        model: the tree of prefixes.
        noise: the noise level that answers are expected to have.
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
        """What the answer at each node is expected to tell, in nats (see `belief.expected_information`)."""
        likely, stranger = probabilities[:-1].astype(np.float32), probabilities[-1]
        there = np.maximum(self._allowed @ likely, 1e-9)
        ordinary = (likely @ self._by_language).reshape(self._shape) / there[:, None]
        elsewhere = np.maximum(1 - stranger - there, 0.0)  # languages without the prefix answer like those with it
        uniform = 1 / self._shape[1]
        noisy = (1 - self._noise) * ordinary + self._noise * uniform
        mixed = (1 - stranger) * noisy + stranger * uniform
        remains = self._entropies @ likely + elsewhere * entropy(noisy) + stranger * np.log(self._shape[1])
        return entropy(mixed) - remains

    def next(self, probabilities: Float[np.ndarray, " H1"], node: int, heard: set[int]) -> int:
        """The node to go to: a child of this one, or BOS.

        Args:
            probabilities: of the languages, and last of "none of these".
            node: where the sequence stands; -1 before it begins.
            heard: nodes whose answer is known: it will be the same again.
        """
        gain = self._information(probabilities)
        gain[list(heard)] = 0.0
        total, is_below = gain, np.zeros(len(gain), dtype=bool)
        if node >= 0:
            is_below[node] = True
        for level in self._levels[1:]:
            parents = self._model.parents[level]
            total[level] += total[parents]
            is_below[level] |= is_below[parents]
        steps = self._model.depths - np.where(is_below, self._model.depths[max(node, 0)], 0)
        # What is heard along a path overlaps, and cannot exceed what is still unknown.
        rate = np.minimum(total, entropy(probabilities)) / np.maximum(steps, 1)
        rate[steps == 0] = -1.0
        target = int(rate.argmax())
        path = self._model.path(target)
        return path[path.index(node) + 1] if is_below[target] else path[0]


def _log_dirichlet_multinomial(counts: Float[np.ndarray, " O"]) -> float:
    """Log-probability of a sequence with these (fractional) counts, its distribution being unknown."""
    total = counts.sum()
    return float(gammaln(len(counts)) - gammaln(len(counts) + total) + gammaln(1 + counts).sum())
