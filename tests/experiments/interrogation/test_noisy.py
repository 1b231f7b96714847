"""Sequential Bayesian identification: of noisy functions, and of RNNs."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnn2vec._seeding import numpy_generator
from rnn2vec.experiments.interrogation.belief import Belief, entropy, expected_information
from rnn2vec.experiments.interrogation.examination import BudgetSpentError, examine
from rnn2vec.experiments.interrogation.example_sets import Constant, easy_set, hard_set
from rnn2vec.experiments.interrogation.functions import FunctionSet
from rnn2vec.experiments.interrogation.generative import GenerativeFunctions
from rnn2vec.experiments.interrogation.language_model import LanguageModel
from rnn2vec.experiments.interrogation.noisy import BayesianInterrogator, NoisyFunction
from rnn2vec.experiments.interrogation.rnn_identification import CountedBlackBox, LanguageInterrogator
from rnn2vec.rnn.blackbox import BlackBox, FunctionBlackBox
from rnn2vec.tasks.formal_languages import FormalLanguages, Language

FAMILY = FormalLanguages(alphabet_size=3, smallest_offset=-2, largest_offset=2, n_max=6, sequence_length=28)


# -- belief ----------------------------------------------------------------------------------------


def test_belief_follows_bayes() -> None:
    belief = Belief(np.array([0.5, 0.3, 0.2]), num_levels=2)
    likelihood = np.array([[0.1, 0.2], [0.9, 0.4], [0.5, 0.5]])
    belief.update(np.log(likelihood))
    expected = np.array([0.5, 0.3, 0.2])[:, None] * likelihood
    np.testing.assert_allclose(belief.joint, expected / expected.sum())
    np.testing.assert_allclose(belief.probabilities, expected.sum(axis=1) / expected.sum())


@given(st.integers(2, 6), st.integers(2, 4), st.integers(0, 100))
def test_information_is_between_nothing_and_what_is_unknown(hypotheses: int, answers: int, seed: int) -> None:
    generator = numpy_generator(seed, "test")
    likely = generator.dirichlet(np.ones(hypotheses))
    noisy = generator.dirichlet(np.ones(answers), size=(1, hypotheses))
    constant = np.repeat(noisy[:, :1], hypotheses, axis=1)
    telling = np.eye(hypotheses)[None]
    gain = expected_information(likely, noisy)[0]
    assert -1e-12 <= gain <= entropy(likely) + 1e-12
    assert expected_information(likely, constant)[0] == pytest.approx(0, abs=1e-12)
    assert expected_information(likely, telling)[0] == pytest.approx(entropy(likely))


# -- noisy functions -------------------------------------------------------------------------------


@functools.cache
def _functions(kind: str) -> FunctionSet:
    return GenerativeFunctions(2, 4).function_set() if kind == "generative" else hard_set(8)


@pytest.mark.parametrize("kind", ["generative", "hard"])
@pytest.mark.parametrize("error_rate", [0.0, 0.1])
def test_confident_is_right(kind: str, error_rate: float) -> None:
    """Check that at most a few of 160 verdicts at 99 % confidence are wrong, for any unknown error rate."""
    functions = _functions(kind)
    interrogator = BayesianInterrogator(functions, error_rates=(0.01, 0.1, 0.3))
    generator = numpy_generator(0, "noise", kind)
    wrong, calls = 0, []
    for function in functions.functions * 20:
        noisy = NoisyFunction(function, error_rate=error_rate, answers=interrogator.answers, generator=generator)
        outcome = examine(interrogator, noisy, budget=500)
        wrong += outcome.identity != function.identity
        calls.append(outcome.calls)
    assert wrong <= 6
    assert np.mean(calls) >= 1


def test_noise_costs_calls() -> None:
    functions = _functions("hard")
    interrogator = BayesianInterrogator(functions)
    generator = numpy_generator(1, "noise")

    def mean_calls(error_rate: float) -> float:
        noisy = functools.partial(
            NoisyFunction, error_rate=error_rate, answers=interrogator.answers, generator=generator
        )
        return float(np.mean([examine(interrogator, noisy(function)).calls for function in functions.functions * 5]))

    assert mean_calls(0.0) < mean_calls(0.2)


def test_out_of_budget_it_does_not_guess() -> None:
    functions = _functions("hard")
    interrogator = BayesianInterrogator(functions, budget=2)
    outcome = examine(interrogator, functions.functions[5], budget=2)
    assert (outcome.identity, outcome.calls) == (None, 2)
    with pytest.raises(BudgetSpentError):
        examine(BayesianInterrogator(functions), functions.functions[5], budget=2)


def test_an_unknown_function_is_not_identified_as_a_member() -> None:
    interrogator = BayesianInterrogator(FunctionSet(easy_set(5).functions, range(4)), unknown_prior=0.1, budget=50)
    generator = numpy_generator(2, "stranger")
    verdict = interrogator.question(lambda _: int(generator.integers(1, 6)))  # any answer, every time
    assert verdict.identity is None
    assert verdict.confidence > 0.99
    assert interrogator.question(Constant(4)).identity == 4
    assert interrogator.question(lambda _: "never heard").identity is None


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


def test_each_sequence_of_each_rnn_counts() -> None:
    box = CountedBlackBox(ideal_rnn(FAMILY.languages[0]))
    assert isinstance(box, BlackBox)
    inputs = torch.eye(5)[None, :3]
    _, state = box.step(inputs, box.initial_state(3))
    box.step(inputs, state)
    assert box.calls == 6


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
