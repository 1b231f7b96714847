"""Function sets, and the examiner that counts calls."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from rnn2vec._errors import UsageError
from rnn2vec.experiments.interrogation.examination import Ask, examine, examine_all
from rnn2vec.experiments.interrogation.functions import Constant, FunctionSet, Hole, easy_set, hard_set, table_set


class Greedy:
    """An interrogator that asks 0, 1, 2 ... a fixed number of times and misreports the number of its calls."""

    calls = 0

    def interrogate(self, ask: Ask) -> Hashable:
        answers = [ask(x) for x in range(5)]
        self.calls = 1
        return answers[0]


@dataclass(frozen=True)
class Magnitude:
    """The function n -> |n| under any name."""

    identity: str

    def __call__(self, x: Hashable, /) -> Hashable:
        assert isinstance(x, int)
        return abs(x)


class Fixed:
    """An interrogator that changes its probes after the answers."""

    def __init__(self) -> None:
        self.probes: list[Hashable] = [1, 2]

    def conclude(self, answers: Sequence[Hashable]) -> Hashable:
        self.probes += [3, 4]
        assert list(answers) == [7, 7]
        return 7


def test_the_examiner_counts_the_calls_and_not_the_interrogator() -> None:
    assert examine(Greedy(), Constant(3)).calls == 5


def test_fixed_probes_are_read_before_any_answer() -> None:
    outcome = examine(Fixed(), Constant(7))
    assert (outcome.identity, outcome.calls) == (7, 2)


def test_wrong_answers_are_counted() -> None:
    record = examine_all(Greedy(), [Constant(1), Constant(2), Hole(0)])
    assert (record.worst_calls, record.mean_calls, record.num_wrong) == (5, 5.0, 0)
    assert examine_all(Greedy(), [Hole(4)]).num_wrong == 1


def test_inputs_can_be_enumerated_repeatedly() -> None:
    functions = FunctionSet([Constant(1), Constant(2)], (x for x in range(3)))
    assert list(functions.enumerate_inputs()) == list(functions.enumerate_inputs()) == [0, 1, 2]
    assert list(itertools.islice(easy_set(2).enumerate_inputs(), 3)) == [0, 1, 2]


def test_the_first_distinguishing_input_is_found() -> None:
    functions = hard_set(5)
    assert functions.distinguishing_input([1, 3]) == 2
    assert functions.distinguishing_input([4, 3]) == 4


def test_equal_functions_are_refused_even_with_infinite_inputs() -> None:
    twins = [Magnitude("one"), Magnitude("two")]
    functions = FunctionSet(twins, itertools.count(), max_inputs=50)
    with pytest.raises(UsageError, match="one, two agree on all 50 inputs"):
        functions.distinguishing_input([0, 1])


@pytest.mark.parametrize("members", [[], [Constant(1), Constant(1)]])
def test_a_set_needs_members_with_identities(members: list[Constant]) -> None:
    with pytest.raises(UsageError, match=r"functions with \d identities"):
        FunctionSet(members, range(3))


def test_the_table_encodes_equal_answers_as_equal_numbers() -> None:
    table = hard_set(3).table()
    assert table.tolist() == [[0, 0, 1, 2], [0, 3, 0, 2], [0, 3, 1, 0]]
    assert table.dtype == np.int32


def test_a_table_that_is_too_large_is_refused() -> None:
    with pytest.raises(UsageError, match="a table of 30,000 functions x 1,000 inputs"):
        easy_set(30_000).table(range(1000))


def test_functions_can_be_given_as_a_table() -> None:
    functions = table_set(["f", "g"], ["x", "y"], [["1", "2"], ["1", "3"]])
    assert [function("y") for function in functions.functions] == ["2", "3"]
    assert functions.distinguishing_input([0, 1]) == "y"
