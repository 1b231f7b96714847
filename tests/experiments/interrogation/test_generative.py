"""Proposition 3.3: generative functions, and the stated and the true numbers of calls."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from rnn2vec._errors import UsageError
from rnn2vec.experiments.interrogation import bounds
from rnn2vec.experiments.interrogation.bounds import OptimalProbes
from rnn2vec.experiments.interrogation.comparison import calls_needed
from rnn2vec.experiments.interrogation.decision_trees import fastest_strategy
from rnn2vec.experiments.interrogation.examination import examine, examine_all
from rnn2vec.experiments.interrogation.fixed_probes import fewest_probes
from rnn2vec.experiments.interrogation.generative import (
    LETTERS,
    Bisection,
    GenerativeFunction,
    GenerativeFunctions,
    LiteralAutoregressive,
    SkippingAutoregressive,
)
from rnn2vec.tasks.formal_languages import Language

SMALL = [(2, 2), (2, 3), (2, 4), (2, 5), (2, 6), (2, 7), (3, 2), (3, 3), (3, 4), (3, 5), (4, 3), (4, 4), (5, 3), (5, 4)]


def slow_answer(offsets: tuple[int, ...], prefix: str) -> str:
    """Find the letters that follow a prefix in some word of the language, by enumerating words."""
    language = Language((0, *offsets))
    words = [language.string(n) for n in range(1, len(prefix) + 3)]
    after = {word[len(prefix)] for word in words if word.startswith(prefix) and len(word) > len(prefix)}
    return "".join(sorted(after))


@pytest.mark.parametrize(
    ("prefix", "answer"),
    [("a", "ab"), ("abb", "b"), ("abbc", ""), ("abbbc", "c"), ("", "a"), ("abbbcc", ""), ("aab", "b"), ("b", "")],
)
def test_the_papers_examples(prefix: str, answer: str) -> None:
    assert GenerativeFunction((2, 1))(prefix) == answer


@pytest.mark.parametrize("offsets", [(1,), (2, 1), (1, 2), (1, 1, 2)])
def test_a_function_answers_like_its_written_out_words(offsets: tuple[int, ...]) -> None:
    alphabet = LETTERS[: len(offsets) + 2]  # one letter more than the language has
    for length in range(8 if len(alphabet) < 5 else 6):
        for letters in itertools.product(alphabet, repeat=length):
            prefix = "".join(letters)
            assert GenerativeFunction(offsets)(prefix) == slow_answer(offsets, prefix), prefix


@pytest.mark.parametrize(("M", "k", "longest"), [(2, 3, 9), (3, 3, 8), (2, 4, 7)])
def test_no_string_is_more_informative_than_the_best_probe(M: int, k: int, longest: int) -> None:
    members = list(GenerativeFunctions(M, k).members())

    def parts(prefix: str) -> tuple[int, ...]:
        labels: dict[str, int] = {}
        return tuple(labels.setdefault(member(prefix), len(labels)) for member in members)

    ways = {parts(asked) for asked in GenerativeFunctions(M, k).probes()}
    strings = ("".join(s) for length in range(longest + 1) for s in itertools.product(LETTERS[:k], repeat=length))
    for way in {parts(string) for string in strings}:
        # Some probe splits at least as finely: members that it does not distinguish, the string does not either.
        assert any(len(set(zip(probe, way, strict=True))) == len(set(probe)) for probe in ways)


@pytest.mark.parametrize(("M", "k"), SMALL)
def test_calls_of_the_interactive_strategies_are_exact(M: int, k: int) -> None:
    members = list(GenerativeFunctions(M, k).members())
    for interrogator, claim in [
        (LiteralAutoregressive(), bounds.literal_autoregressive),
        (SkippingAutoregressive(M, k), bounds.skipping_autoregressive),
        (Bisection(M, k), bounds.optimal_interactive),
    ]:
        record = examine_all(interrogator, members)
        assert (record.num_wrong, record.worst_calls) == (0, claim(M, k))


@pytest.mark.parametrize(("M", "k"), SMALL)
def test_the_optima_are_what_search_finds(M: int, k: int) -> None:
    table = GenerativeFunctions(M, k).function_set().table()
    fast, fixed = fastest_strategy(table), fewest_probes(table)
    assert fast.calls == fast.at_least == bounds.optimal_interactive(M, k)
    assert len(fixed.probes) == fixed.at_least == bounds.optimal_noninteractive(M, k)


@pytest.mark.parametrize(("M", "k", "probes", "printed"), [(3, 5, 67, 72), (3, 6, 202, 234)])
def test_the_printed_bound_is_false(M: int, k: int, probes: int, printed: int) -> None:
    needed = calls_needed(GenerativeFunctions(M, k).function_set())
    assert needed.interactive.is_optimal
    assert needed.noninteractive.is_optimal
    assert len(needed.noninteractive.probes) == probes < printed == bounds.printed_noninteractive(M, k)


def test_the_counterexample_is_one() -> None:
    """Ask the 67 probes and identify all 81 functions."""
    interrogator = OptimalProbes(3, 5)
    record = examine_all(interrogator, GenerativeFunctions(3, 5).members())
    assert (record.worst_calls, record.num_wrong) == (67, 0)


@pytest.mark.slow
def test_the_largest_counterexample_by_solver() -> None:
    table = GenerativeFunctions(5, 5).function_set().table()
    fixed = fewest_probes(table)
    assert len(fixed.probes) == fixed.at_least == 562 < bounds.printed_noninteractive(5, 5) == 600


@pytest.mark.parametrize(("M", "k"), [*SMALL, (5, 5), (4, 6), (3, 8), (2, 10)])
def test_the_constructed_probes_identify_all_members(M: int, k: int) -> None:
    interrogator = OptimalProbes(M, k)
    assert interrogator.identifies_all
    assert len(interrogator.probes) == len(set(interrogator.probes)) == bounds.optimal_noninteractive(M, k)
    if M**k < 300:  # the shortcut for larger sets agrees with an examination
        assert examine_all(interrogator, GenerativeFunctions(M, k).members()).num_wrong == 0


@pytest.mark.parametrize("M", range(2, 8))
@pytest.mark.parametrize("k", range(2, 10))
def test_where_the_printed_counts_fail(M: int, k: int) -> None:
    optimum = bounds.optimal_noninteractive(M, k)
    size = M ** (k - 1)
    assert optimum == size - -(-size // (2 * M))
    assert bounds.forced_probes(M, k) <= optimum <= size - 1
    fails = k >= 6 or (k == 5 and M >= 3)
    assert (optimum < bounds.printed_noninteractive(M, k)) == fails
    assert bounds.literal_autoregressive(M, k) > bounds.printed_interactive(M, k)
    assert bounds.optimal_interactive(M, k) <= bounds.skipping_autoregressive(M, k)


@pytest.mark.parametrize(("M", "k"), [(2, 4), (3, 3), (3, 4), (4, 3)])
def test_the_forced_probes_are_forced(M: int, k: int) -> None:
    """Check that only one string separates m_k = c from m_k = c + 1, for each (m_2 .. m_{k-1}) and each c < M."""
    members = list(GenerativeFunctions(M, k).members())
    probes = list(GenerativeFunctions(M, k).probes())
    forced = set()
    for one, other in itertools.pairwise(members):
        if one.identity[:-1] == other.identity[:-1]:
            separating = [asked for asked in probes if one(asked) != other(asked)]
            assert len(separating) == 1
            forced.add(separating[0])
    assert len(forced) == bounds.forced_probes(M, k)


def test_the_literal_strategy_needs_neither_M_nor_k() -> None:  # noqa: N802
    assert examine(LiteralAutoregressive(), GenerativeFunction((4, 7, 1))).identity == (4, 7, 1)


@pytest.mark.parametrize(("M", "k"), [(1, 3), (3, 1), (3, 27)])
def test_invalid_sizes_are_refused(M: int, k: int) -> None:
    with pytest.raises(UsageError, match=rf"M={M} offsets, k={k} letters"):
        GenerativeFunctions(M, k)


def test_probes_are_one_less_than_members() -> None:
    for M, k in SMALL:
        probes = list(GenerativeFunctions(M, k).probes())
        assert len(probes) == len(set(probes)) == len(GenerativeFunctions(M, k)) - 1
        assert np.unique(GenerativeFunctions(M, k).function_set().table(), axis=0).shape[0] == len(probes) + 1
