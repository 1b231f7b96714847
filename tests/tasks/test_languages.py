"""Languages and their strings: what is in, what is nearly in, and what fits into a training sequence."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnn2vec._errors import UsageError
from rnn2vec.tasks.formal_languages import LETTERS, FormalLanguages, Language

FAMILY = FormalLanguages()
BOS, EOS = FAMILY.bos, FAMILY.eos
OFFSETS = st.lists(st.integers(-3, 3), min_size=2, max_size=4).map(tuple)
STRINGS = st.text("abcde", max_size=12)


def _obviously_in(offsets: tuple[int, ...], string: str) -> bool:
    """Write down every string of the language that is no longer than this one, and look."""
    for n in range(len(string) + sum(map(abs, offsets)) + 1):
        counts = [n + offset for offset in offsets]
        if min(counts) >= 0 and string == "".join(
            letter * count for letter, count in zip("abcd", counts, strict=False)
        ):
            return True
    return False


@st.composite
def near_misses(draw: st.DrawFn, letters: str = "abcde") -> tuple[tuple[int, ...], str]:
    """A language, and a string of it with one letter swapped, added, removed or moved, or none."""
    offsets = draw(OFFSETS)
    n = max(0, -min(offsets)) + draw(st.integers(0, 4))
    string = list("".join(letter * (n + offset) for letter, offset in zip("abcd", offsets, strict=False)))
    change = draw(st.sampled_from(["none", "add", "remove", "swap", "move", "shuffle"]))
    place = draw(st.integers(0, max(0, len(string) - 1)))
    if change == "add":
        string.insert(place, draw(st.sampled_from(letters)))
    elif change == "shuffle":
        string = draw(st.permutations(string))
    elif string and change != "none":
        taken = string.pop(place)
        if change != "remove":
            to = place if change == "swap" else draw(st.integers(0, len(string)))
            string.insert(to, draw(st.sampled_from(letters)) if change == "swap" else taken)
    return offsets, "".join(string)


# -- membership ------------------------------------------------------------------------------------


@given(OFFSETS, STRINGS)
def test_any_string_is_judged_as_the_obvious_way_does(offsets: tuple[int, ...], string: str) -> None:
    assert Language(offsets).accepts(string) is _obviously_in(offsets, string)


@given(near_misses())
def test_a_near_miss_is_judged_as_the_obvious_way_does(case: tuple[tuple[int, ...], str]) -> None:
    offsets, string = case
    assert Language(offsets).accepts(string) is _obviously_in(offsets, string)


@given(OFFSETS, st.integers(0, 6))
def test_a_language_accepts_its_own_strings(offsets: tuple[int, ...], more: int) -> None:
    language = Language(offsets)
    string = language.string(language.n_min + more)
    assert language.accepts(string)
    assert list(string) == sorted(string)
    assert [string.count(letter) for letter in LETTERS[: len(offsets)]] == [
        language.n_min + more + offset for offset in offsets
    ]


@pytest.mark.parametrize(
    ("offsets", "string", "accepted"),
    [
        ((0, 0), "", True),
        ((0, 1), "", False),
        ((0, 0), "abab", False),  # the right counts in the wrong order
        ((0, 0), "aabb", True),
        ((0, 1, -1, 2), "abb" + "dddd"[:3], True),
        ((0, 1, -1, 2), "aabbbcdddd", True),
        ((0, 1, -1, 2), "aabbbdddd", False),
        ((0, 0), "aabbc", False),
    ],
)
def test_known_strings(offsets: tuple[int, ...], string: str, accepted: bool) -> None:
    assert Language(offsets).accepts(string) is accepted


def test_a_language_reads_as_in_the_paper() -> None:
    assert str(Language((0, 1, -1, 2))) == "a^n b^(n+1) c^(n-1) d^(n+2)"


@pytest.mark.parametrize("number", [0, 1, 27])
def test_an_alphabet_must_be_one(number: int) -> None:
    with pytest.raises(UsageError, match=rf"a language over {number} letters\n.*2 to 26"):
        Language((0,) * number)


# -- training strings ------------------------------------------------------------------------------


def test_n_is_at_most_9_and_never_so_large_that_the_end_falls_out(paper: FormalLanguages) -> None:
    for language in paper.languages:
        assert paper.largest_n(language) == min(9, (40 - sum(language.offsets)) // 4)
        assert len(language.string(paper.largest_n(language))) + 1 <= 41


def test_four_languages_would_overflow_with_n_up_to_9(paper: FormalLanguages) -> None:
    overflowing = [one for one in paper.languages if len(one.string(9)) + 1 > 41]
    assert len(overflowing) == 4
    assert all(paper.largest_n(one) == 8 for one in overflowing)


def test_every_training_string_is_in_its_language_and_ends_in_time(paper: FormalLanguages) -> None:
    for language in paper.languages:
        tokens = paper.sequences(language)
        assert tokens.shape == (paper.largest_n(language) - language.n_min + 1, 42)
        assert (tokens[:, 0] == BOS).all()
        assert (tokens[:, -1] == EOS).all()
        task = tuple(map(float, language.offsets[1:]))
        assert paper.accepted(torch.from_numpy(tokens)[None], [task]).all()
        strings = [paper.decode(torch.from_numpy(row)) for row in tokens]
        assert strings == [f"{language.string(language.n_min + n)}." for n in range(len(tokens))]


def test_examples_are_the_next_tokens_and_all_n_are_as_likely(paper: FormalLanguages) -> None:
    examples = paper.examples((2.0, -3.0, 0.0))
    assert examples.inputs.shape == examples.targets.shape == (7, 41)  # n = 3..9
    assert (examples.inputs[:, 1:] == examples.targets[:, :-1]).all()
    assert examples.weights.tolist() == [1 / 7] * 7


def test_the_largest_task_has_ten_examples(paper: FormalLanguages) -> None:
    numbers = Counter(len(paper.sequences(language)) for language in paper.languages)
    assert paper.most_examples == max(numbers) == 10


# -- acceptance of token sequences -----------------------------------------------------------------


def _codes(tokens: list[int]) -> torch.Tensor:
    return torch.tensor([[[BOS, *tokens]]], dtype=torch.uint8)


def _tokens(string: str) -> list[int]:
    return [LETTERS.index(letter) for letter in string]


@given(
    offsets=st.tuples(*[st.integers(-3, 2)] * 3),
    case=near_misses("abcd"),
    after=st.lists(st.integers(0, 5), max_size=4),
    own=st.booleans(),
)
def test_tokens_are_accepted_as_their_string_is(
    offsets: tuple[int, ...], case: tuple[tuple[int, ...], str], after: list[int], own: bool
) -> None:
    """Whatever comes after the first EOS."""
    near, string = case
    offsets = tuple(offset - near[0] for offset in near[1:]) if own and len(near) == 4 else offsets
    accepted = FAMILY.accepted(_codes([*_tokens(string), EOS, *after]), [tuple(map(float, offsets))])
    assert accepted.tolist() == [[_obviously_in((0, *offsets), string)]]


def test_all_short_token_sequences_are_judged_as_the_obvious_way_does() -> None:
    family = FormalLanguages(alphabet_size=2, smallest_offset=-1, largest_offset=1, n_max=2, sequence_length=7)
    sequences = list(itertools.product(range(4), repeat=5))
    codes = torch.tensor([[2, *tokens] for tokens in sequences], dtype=torch.uint8).expand(3, -1, -1)
    tasks = [(float(offset),) for offset in (-1, 0, 1)]

    def expected(tokens: tuple[int, ...], offset: int) -> bool:
        if 3 not in tokens:
            return False
        text = "".join("ab^"[token] for token in tokens[: tokens.index(3)])
        return _obviously_in((0, offset), text)

    assert family.accepted(codes, tasks).tolist() == [
        [expected(tokens, offset) for tokens in sequences] for offset in (-1, 0, 1)
    ]


@pytest.mark.parametrize(
    ("tokens", "accepted"),
    [
        ([0, 1, 2, 3, EOS], True),
        ([0, 1, 2, 3, EOS, 0, BOS], True),  # what comes after the end does not matter
        ([0, 1, 2, 3], False),  # no EOS
        ([BOS, 0, 1, 2, 3, EOS], False),  # a second BOS, wherever it stands
        ([0, 1, 2, 3, BOS, EOS], False),
        ([BOS, EOS], False),
        ([EOS], True),
        ([0, 1, 0, 1, 2, 2, 3, 3, EOS], False),  # the right counts in the wrong order
        ([3, 2, 1, 0, EOS], False),
    ],
)
def test_known_tokens(tokens: list[int], accepted: bool) -> None:
    codes = _codes(tokens)
    before = codes.clone()
    assert FAMILY.accepted(codes, [(0.0, 0.0, 0.0)]).tolist() == [[accepted]]
    assert torch.equal(codes, before)


def test_each_rnn_is_judged_by_its_own_language() -> None:
    codes = _codes([0, 1, 1, 2, 3, EOS]).expand(2, 3, -1)
    assert FAMILY.accepted(codes, [(1.0, 0.0, 0.0), (0.0, 0.0, 0.0)]).tolist() == [[True] * 3, [False] * 3]
