"""Seeds: the same purpose gives the same numbers, another purpose gives unrelated ones."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from rnn2vec._seeding import numpy_generator, seed_sequence, seeded_modules, torch_generator

PURPOSES = st.lists(st.text(max_size=4) | st.integers(), max_size=3).map(tuple)
SEEDS = st.integers(min_value=0, max_value=2**70)


def _state(seed: int, purpose: tuple[str | int, ...]) -> list[int]:
    return seed_sequence(seed, *purpose).generate_state(4).tolist()


@given(SEEDS, PURPOSES)
def test_the_same_purpose_gives_the_same_numbers(seed: int, purpose: tuple[str | int, ...]) -> None:
    assert _state(seed, purpose) == _state(seed, purpose)
    draws = [torch.rand(3, generator=torch_generator(seed, *purpose)) for _ in range(2)]
    assert torch.equal(*draws)
    assert numpy_generator(seed, *purpose).random() == numpy_generator(seed, *purpose).random()


@given(SEEDS, PURPOSES, SEEDS, PURPOSES)
def test_another_seed_or_purpose_gives_other_numbers(
    seed: int, purpose: tuple[str | int, ...], other_seed: int, other_purpose: tuple[str | int, ...]
) -> None:
    assume((seed, purpose) != (other_seed, other_purpose))
    assert _state(seed, purpose) != _state(other_seed, other_purpose)


def test_a_purpose_is_a_path_not_its_spelling() -> None:
    spellings = [("run", 1), ("run", "1"), ("run/1",), ("run", 1, "")]
    assert len({tuple(_state(0, purpose)) for purpose in spellings}) == len(spellings)


def test_streams_of_neighbouring_runs_are_uncorrelated() -> None:
    draws = np.stack([numpy_generator(0, "run", run).standard_normal(2000) for run in range(20)])
    off_diagonal = np.corrcoef(draws) - np.eye(20)
    assert np.abs(off_diagonal).max() < 0.12  # 5 standard deviations of an independent pair


def test_drawing_touches_no_global_stream() -> None:
    before = torch.random.get_rng_state()
    torch.rand(3, generator=torch_generator(0, "run"))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_modules_are_drawn_from_their_purpose_and_the_global_stream_goes_on() -> None:
    before = torch.random.get_rng_state()
    weights: list[torch.Tensor] = []
    for purpose in ("emulator", "emulator", "encoder"):
        with seeded_modules(3, purpose):
            weights.append(torch.nn.Linear(4, 4).weight)

    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_numbers_are_the_same_on_every_machine_and_in_every_version() -> None:
    assert _state(7, ("zoo", "run", 17)) == [3446610743, 2750928993, 4189639807, 3412768541]
