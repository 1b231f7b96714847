"""Errors: what the reader sees, what the shell sees, and that they survive a worker process."""

from __future__ import annotations

import pickle

import pytest

from rnn2vec._errors import DataError, Rnn2VecError, StorageError, UsageError, unknown_name

KINDS = [(UsageError, 2), (DataError, 1), (StorageError, 1)]


@pytest.mark.parametrize(("kind", "exit_code"), KINDS)
def test_an_error_says_problem_and_remedy_and_knows_its_exit_code(kind: type[Rnn2VecError], exit_code: int) -> None:
    error = kind("zoo.json is cut off", remedy="build it again.")

    assert str(error) == "zoo.json is cut off\n  -> build it again."
    assert error.exit_code == exit_code
    assert isinstance(error, Rnn2VecError)


@pytest.mark.parametrize(("kind", "base"), [(UsageError, ValueError), (StorageError, OSError)])
def test_callers_who_know_only_python_can_catch_them(kind: type[Rnn2VecError], base: type[Exception]) -> None:
    with pytest.raises(base, match="the problem"):
        raise kind("the problem", remedy="the remedy")


@pytest.mark.parametrize("kind", [kind for kind, _ in KINDS])
def test_an_error_survives_the_way_back_from_a_worker_process(kind: type[Rnn2VecError]) -> None:
    error = pickle.loads(pickle.dumps(kind("the problem", remedy="the remedy")))

    assert type(error) is kind
    assert (error.problem, error.remedy) == ("the problem", "the remedy")


def test_a_storage_error_has_no_words_where_the_error_number_belongs() -> None:
    assert StorageError("the problem", remedy="the remedy").errno is None


def test_an_unknown_name_suggests_the_nearest_and_lists_all() -> None:
    error = unknown_name("encoder", "interactiv-probing", ["noninteractive-probing", "interactive-probing", "dwsnet"])

    assert error.problem == "unknown encoder 'interactiv-probing'"
    assert error.remedy == (
        "did you mean 'interactive-probing'? Known: dwsnet, interactive-probing, noninteractive-probing."
    )


def test_an_unknown_name_like_no_other_gets_no_guess() -> None:
    assert unknown_name("cell", "zzz", ["lstm", "gru"]).remedy == "Known: gru, lstm."
