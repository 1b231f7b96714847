"""Sequential Bayesian identification of RNNs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from rnn2vec.experiments.interrogation.rnn_identification import Belief, LanguageInterrogator, LanguageModel
from rnn2vec.rnn.blackbox import BlackBox, FunctionBlackBox
from rnn2vec.tasks.formal_languages import FormalLanguages, Language

FAMILY = FormalLanguages(alphabet_size=3, smallest_offset=-2, largest_offset=2, n_max=6, sequence_length=28)


# -- belief ----------------------------------------------------------------------------------------


def test_belief_follows_bayes() -> None:
    belief = Belief(np.array([0.5, 0.3, 0.2]), num_levels=2)
    likelihood = np.array([[0.1, 0.2], [0.9, 0.4], [0.5, 0.5]])
    belief.update(np.log(likelihood))
    expected = np.array([0.5, 0.3, 0.2])[:, None] * likelihood
    np.testing.assert_allclose(belief.probabilities, expected.sum(axis=1) / expected.sum())


# -- RNNs ------------------------------------------------------------------------------------------


def ideal_rnn(language: Language, *, family: FormalLanguages = FAMILY, sharpness: float = 0.98) -> BlackBox:
    """A box that generates a language as well as can be, and off its strings answers "the end"."""
    sequences = family.sequences(language)

    def step(token: np.ndarray, prefix: tuple[int, ...]) -> tuple[np.ndarray, tuple[int, ...]]:
        prefix = (*prefix, int(token.argmax()))
        fitting = [row for row in sequences if tuple(row[: len(prefix)]) == prefix]
        counts = np.bincount([row[len(prefix)] for row in fitting] or [family.eos], minlength=family.output_size)
        answer = sharpness * counts / counts.sum() + (1 - sharpness) / family.output_size
        return np.log(answer), prefix

    sizes = {"input_size": family.input_size, "output_size": family.output_size}
    return FunctionBlackBox(step, tuple, **sizes, input_kind="categorical", output_kind="categorical")


@pytest.fixture(scope="module")
def interrogator() -> LanguageInterrogator:
    return LanguageInterrogator(LanguageModel(FAMILY))


def test_every_language_is_named_by_what_its_rnn_answers(interrogator: LanguageInterrogator) -> None:
    found = [interrogator.identify(ideal_rnn(language)) for language in FAMILY.languages]
    assert [one.language for one in found] == list(range(len(FAMILY.languages)))
    assert max(one.calls for one in found) <= 30
    assert all(one.guesses[-1] == one.language and len(one.guesses) == one.calls for one in found)


def test_a_noisy_rnn_is_still_named(interrogator: LanguageInterrogator) -> None:
    found = [interrogator.identify(ideal_rnn(language, sharpness=0.8)).language for language in FAMILY.languages]
    assert np.mean(np.array(found) == np.arange(len(FAMILY.languages))) >= 0.9


@pytest.mark.parametrize(
    "answer", [lambda _: torch.zeros(5), lambda token: token.roll(1), lambda _: torch.tensor([0.0, 0, 0, 0, 9])]
)
def test_what_generates_no_language_is_not_named(
    interrogator: LanguageInterrogator, answer: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    box = FunctionBlackBox(
        lambda token, state: (answer(torch.as_tensor(token)), state),
        lambda: None,
        input_size=5,
        output_size=5,
        input_kind="categorical",
        output_kind="categorical",
    )
    one = interrogator.identify(box)
    assert one.language is None
    assert one.calls <= 40


def test_the_budget_is_kept() -> None:
    few = LanguageInterrogator(LanguageModel(FAMILY), budget=3)
    one = few.identify(ideal_rnn(FAMILY.languages[7]))
    assert (one.language, one.calls, one.is_unknown) == (None, 3, False)
    assert one.confidence < 0.99


def test_the_language_model_knows_what_follows() -> None:
    model = LanguageModel(FAMILY, [Language((0, 0, 0)), Language((0, -1, 0))], longest_run=3)
    prefixes = ["".join("abc^."[model.tokens[node]] for node in model.path(number)) for number in range(len(model))]
    node = prefixes.index("^aa")
    assert model.allowed[node].tolist() == [True, True]
    np.testing.assert_allclose(model.predictions[node, 0, :2], [4 / 5, 1 / 5])  # n = 2 of n = 2..6
    assert max(prefix.count("a") for prefix in prefixes) == 3
    assert model.allowed[prefixes.index("^aabb")].tolist() == [True, False]
    assert model.predictions[prefixes.index("^aabb"), 1].tolist() == [0.0] * 5
    assert all(model.depths[number] == len(prefix) for number, prefix in enumerate(prefixes))
