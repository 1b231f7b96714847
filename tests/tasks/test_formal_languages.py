"""The family of formal languages: its tasks and splits, how it deals them, and RNNs acting in it."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnn2vec import tasks
from rnn2vec._errors import UsageError
from rnn2vec.tasks.base import Property
from rnn2vec.tasks.formal_languages import FormalLanguages, Language
from rnn2vec.zoo.rollouts import roll_out

SEEDS = st.integers(0, 2**40)


# -- splits ----------------------------------------------------------------------------------------


@given(SEEDS)
def test_splits_are_160_31_25_and_share_no_language(seed: int) -> None:
    family = FormalLanguages()
    splits = family.splits(seed)
    assert {name: len(languages) for name, languages in splits.items()} == {"train": 160, "validation": 31, "ood": 25}
    together = [language for languages in splits.values() for language in languages]
    assert set(together) == set(family.languages)
    assert len(together) == 216


@given(SEEDS, SEEDS)
def test_the_split_is_a_matter_of_the_seed_but_ood_is_not(seed: int, other: int) -> None:
    family = FormalLanguages()
    first, second = family.splits(seed), family.splits(other)
    assert family.splits(seed) == first
    assert first["ood"] == second["ood"]
    assert (set(first["validation"]) == set(second["validation"])) is (seed == other)


def test_ood_languages_are_those_of_the_stated_rule(paper: FormalLanguages) -> None:
    assert paper.ood_rule == "the sum of absolute offsets is at most 2"
    ood = set(paper.splits(0)["ood"])
    assert ood == {one for one in paper.languages if sum(map(abs, one.offsets)) <= 2}


# -- dealing ---------------------------------------------------------------------------------------


@given(SEEDS, st.integers(0, 500), st.integers(0, 500))
def test_a_runs_task_does_not_depend_on_how_many_runs_there_are(seed: int, few: int, more: int) -> None:
    dealt = FormalLanguages().deal(few + more, seed)
    assert FormalLanguages().deal(few, seed) == dealt[:few]
    assert len(dealt) == few + more


@given(SEEDS)
def test_every_216_runs_cover_every_language_once_and_no_two_decks_are_alike(seed: int) -> None:
    dealt = [one.task for one in FormalLanguages().deal(648, seed)]
    decks = [dealt[start : start + 216] for start in (0, 216, 432)]
    assert all(len(set(deck)) == 216 for deck in decks)
    assert decks[0] != decks[1] != decks[2]


@given(SEEDS)
def test_every_run_is_told_the_split_of_its_language(seed: int) -> None:
    family = FormalLanguages()
    splits = family.splits(seed)
    for one in family.deal(216, seed):
        assert family.language(one.task) in splits[one.split]


@given(SEEDS, st.integers(3, 216))
def test_small_zoos_have_their_share_of_each_split(seed: int, num_runs: int) -> None:
    """The first three runs are one of each; later on, no split is more than one run off its share."""
    family = FormalLanguages()
    dealt = [one.split for one in family.deal(num_runs, seed)]
    assert set(dealt[:3]) == {"train", "validation", "ood"}
    numbers = Counter(dealt)
    for split, languages in family.splits(seed).items():
        assert abs(numbers[split] - num_runs * len(languages) / 216) <= 2


# -- other alphabets and offsets -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "num_languages", "ood", "columns"),
    [
        ({"alphabet_size": 2}, 6, 1, ["offset_b"]),
        ({"alphabet_size": 3}, 36, 1, ["offset_b", "offset_c"]),
        ({"alphabet_size": 4}, 216, 25, ["offset_b", "offset_c", "offset_d"]),
        ({"alphabet_size": 5}, 1296, 125, ["offset_b", "offset_c", "offset_d", "offset_e"]),
        ({"alphabet_size": 6}, 7776, 626, [f"offset_{letter}" for letter in "bcdef"]),
        ({"alphabet_size": 2, "smallest_offset": 0}, 3, 1, ["offset_b"]),
        ({"alphabet_size": 3, "smallest_offset": 1, "largest_offset": 2}, 4, 1, ["offset_b", "offset_c"]),
    ],
)
def test_other_alphabets_and_offsets(options: dict[str, int], num_languages: int, ood: int, columns: list[str]) -> None:
    family = FormalLanguages(**options)
    size = options["alphabet_size"]
    assert len(family.languages) == len(set(family.languages)) == num_languages
    assert (family.input_size, family.output_size, family.bos, family.eos) == (size + 2, size + 2, size, size + 1)
    assert list(family.task_columns) == columns

    splits = family.splits(3)
    assert len(splits["ood"]) == ood
    assert min(map(len, splits.values())) >= 1
    assert sum(map(len, splits.values())) == num_languages
    assert {one.split for one in family.deal(3, 3)} == set(splits)

    for task in {one.task for one in family.deal(12, 3)}:
        examples = family.examples(task)
        assert len(examples.inputs) <= family.most_examples
        assert examples.inputs.max() <= family.eos
        assert (examples.targets[:, -1] == family.eos).all()


def test_bos_comes_first_as_every_encoder_is_told(paper: FormalLanguages) -> None:
    assert paper.interface.first_input == (0, 0, 0, 0, 1, 0)
    assert paper.interface.input_kind == paper.interface.output_kind == "categorical"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"alphabet_size": 1}, r"alphabet_size=1\n.*2 to 26"),
        ({"alphabet_size": 27}, r"alphabet_size=27\n.*2 to 26"),
        ({"smallest_offset": 3}, r"offsets from 3 to 2\n.*smaller one first"),
        ({"n_max": 2}, r"a\^n b\^\(n-3\).* has no string with n <= 2 in 42 tokens\n.*raise n_max"),
        ({"sequence_length": 1001}, r"sequence_length=1001\n.*1 to 1,000"),
        ({"n_max": 10**18}, r"n_max=10{18}\n.*1 to 1,000"),
        ({"sequence_length": 8}, r"has no string with n <= 9 in 8 tokens\n.*sequence_length"),
        ({"alphabet_size": 2, "smallest_offset": 2}, r"1 languages over 2 letters .* 2 to 2\n.*3 to 100,000"),
        ({"alphabet_size": 26}, r"28,430,288,029,929,701,376 languages over 26 letters"),
    ],
)
def test_a_family_that_makes_no_sense_says_why(options: dict[str, int], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        FormalLanguages(**options)


@given(
    st.integers(2, 4),
    st.integers(-2, 0),
    st.integers(0, 2),
    st.integers(2, 12),
    st.integers(20, 60),
)
def test_options_make_an_equal_family_after_json(size: int, low: int, high: int, n_max: int, length: int) -> None:
    if (high - low + 1) ** (size - 1) < 3:
        return
    family = FormalLanguages(
        alphabet_size=size, smallest_offset=low, largest_offset=high, n_max=n_max, sequence_length=length
    )
    assert tasks.build(family.name, json.loads(json.dumps(family.options()))) == family


# -- properties and words --------------------------------------------------------------------------


def test_the_task_is_predicted_as_three_hot_and_performance_as_a_number(paper: FormalLanguages) -> None:
    task, performance = paper.properties
    table = {
        "offset_b": np.array([-3.0, 2.0]),
        "offset_c": np.array([0.0, 1.0]),
        "offset_d": np.array([2.0, -1.0]),
        "performance": np.array([0.25, 1.0]),
    }
    hot = task.target(table)
    assert (task.loss, performance.loss) == ("binary-cross-entropy", "mean-squared-error")
    assert hot.shape == (2, 18)
    assert [np.flatnonzero(row).tolist() for row in hot] == [[0, 6 + 3, 12 + 5], [5, 6 + 4, 12 + 2]]
    assert performance.target(table).tolist() == [[0.25], [1.0]]
    assert hot.dtype == performance.target(table).dtype == np.float32


def test_a_property_can_be_a_class() -> None:
    step = Property("step", ("step",), "cross-entropy", (0.0, 100.0, 200.0))
    assert step.target({"step": np.array([100, 0])}).tolist() == [[0, 1, 0], [1, 0, 0]]


def test_tasks_and_rollouts_are_told_in_words(paper: FormalLanguages) -> None:
    assert paper.describe((1.0, 0.0, -2.0)) == "a^n b^(n+1) c^n d^(n-2)"
    assert paper.language((1.0, 0.0, -2.0)) == Language((0, 1, 0, -2))
    assert paper.decode(torch.tensor([4, 0, 1, 1, 5, 5, 0])) == "abb."
    assert paper.decode(torch.tensor([4, 0, 4, 3])) == "a^d..."
    assert paper.decode(torch.tensor([4, 5, 5, 5], dtype=torch.uint8)) == "."


def test_rollouts_become_the_inputs_that_the_rnn_read(paper: FormalLanguages) -> None:
    codes = torch.tensor([[[4, 0, 1, 5, 5]]], dtype=torch.uint8)
    inputs = paper.rollout_inputs(codes, [(0.0, 0.0, 0.0)])
    assert inputs.shape == (1, 1, 4, 6)
    assert inputs.argmax(dim=-1).tolist() == [[[4, 0, 1, 5]]]
    assert (inputs.sum(dim=-1) == 1).all()
    assert paper.before_end(codes).tolist() == [[[True, True, True, False]]]


def test_the_step_that_should_predict_the_first_end_still_counts(paper: FormalLanguages) -> None:
    codes = torch.tensor([[[4, 5, 5, 5], [4, 0, 1, 2]]], dtype=torch.uint8)
    assert paper.before_end(codes).tolist() == [[[True, False, False], [True, True, True]]]


# -- acting ----------------------------------------------------------------------------------------


class Scripted:
    """Answers every step with logits of its own, whatever it reads; one row per RNN."""

    def __init__(self, logits: torch.Tensor) -> None:
        self.logits = logits
        self.read: list[torch.Tensor] = []

    def initial_state(self, num_sequences: int) -> Any:
        return num_sequences

    def step(self, inputs: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        self.read.append(inputs)
        return self.logits[:, None].expand(-1, state, -1), state


def _generators(*seeds: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in seeds]


def test_tokens_are_sampled_as_often_as_softmax_says(paper: FormalLanguages) -> None:
    logits = torch.tensor([[0.0, 1.0, -1.0, 2.0, -3.0, 0.5], [5.0, 0.0, 0.0, 0.0, 0.0, 5.0]])
    environment = paper.environment([(0.0, 0.0, 0.0)] * 2, 1000, _generators(1, 2))
    roll_out(Scripted(logits), environment)
    tokens = environment.codes()[:, :, 1:].flatten(1)
    frequencies = torch.stack([(tokens == token).float().mean(dim=1) for token in range(6)], dim=1)
    expected = logits.softmax(dim=-1)
    error = (expected * (1 - expected) / tokens.shape[1]).sqrt()
    assert ((frequencies - expected).abs() < 5 * error + 1e-6).all()


def test_an_rnn_reads_bos_and_then_what_it_said(paper: FormalLanguages) -> None:
    scripted = Scripted(torch.zeros(2, 6))
    environment = paper.environment([(0.0, 0.0, 0.0)] * 2, 3, _generators(1, 2))
    roll_out(scripted, environment)
    codes = environment.codes()
    assert codes.shape == (2, 3, 42)
    assert codes.dtype == torch.uint8
    read = torch.stack(scripted.read, dim=2)
    assert torch.equal(read, paper.rollout_inputs(codes, [(0.0, 0.0, 0.0)] * 2))
    assert (codes[:, :, 0] == paper.bos).all()


def test_what_an_rnn_says_does_not_depend_on_its_neighbours(paper: FormalLanguages) -> None:
    logits = torch.randn(3, 6, generator=torch.Generator().manual_seed(0))
    task = (0.0, 1.0, 0.0)

    def codes(which: list[int]) -> torch.Tensor:
        environment = paper.environment([task] * len(which), 5, _generators(*which))
        roll_out(Scripted(logits[which]), environment)
        return environment.codes()

    together = codes([0, 1, 2])
    assert torch.equal(codes([1])[0], together[1])
    assert torch.equal(codes([2, 0]), together[[2, 0]])
    assert not torch.equal(together[0], together[1])


def test_performance_is_the_share_of_strings_in_the_own_language(paper: FormalLanguages) -> None:
    """RNNs that always end at once: right where n_min is 0 and every offset too, wrong elsewhere."""
    logits = torch.full((2, 6), -50.0)
    logits[:, paper.eos] = 50.0
    environment = paper.environment([(0.0, 0.0, 0.0), (1.0, 0.0, 0.0)], 7, _generators(1, 2))
    roll_out(Scripted(logits), environment)
    assert environment.performance().tolist() == [1.0, 0.0]


def test_half_of_the_strings_right_is_a_performance_of_about_a_half(paper: FormalLanguages) -> None:
    logits = torch.full((1, 6), -50.0)
    logits[:, [0, paper.eos]] = 0.0
    environment = paper.environment([(0.0, 0.0, 0.0)], 4000, _generators(1))
    roll_out(Scripted(logits), environment)
    assert environment.performance().item() == pytest.approx(0.5, abs=0.04)
