"""Training the runs of a shard: batches, snapshots, and that a run is its own."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.tasks.examples import FrameExamples, SequenceExamples
from rnn2vec.tasks.formal_languages import FormalLanguages
from rnn2vec.zoo import train
from rnn2vec.zoo.backends.base import RunFrames, RunSequences
from rnn2vec.zoo.backends.numba_backend import NumbaBackend
from rnn2vec.zoo.backends.torch_backend import TorchBackend
from rnn2vec.zoo.config import ZooConfig
from rnn2vec.zoo.train import TrainedSnapshots, draw_batches, pad_examples, train_runs

FAMILY = FormalLanguages()
SPEC = RNNSpec(cell="lstm", input_size=6, hidden_size=8, num_layers=2, output_size=6)
DEALT = FAMILY.deal(216, 0)
BACKENDS = {"numba": NumbaBackend(), "torch": TorchBackend()}


def _snapshots(config: ZooConfig, runs: list[int], backend: str = "numba") -> list[TrainedSnapshots]:
    reached = train_runs(config, FAMILY, SPEC, BACKENDS[backend], runs, [DEALT[run].task for run in runs])
    return [one for one in reached if isinstance(one, TrainedSnapshots)]


@pytest.fixture
def short() -> ZooConfig:
    return ZooConfig(num_runs=40, num_steps=12, hidden_size=8)


# -- runs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", list(BACKENDS))
def test_a_run_is_the_same_to_the_byte_whoever_trains_beside_it(short: ZooConfig, backend: str) -> None:
    """Companies with 7 to 10 examples: a batch has ten rows in any of them."""
    numbers = [len(FAMILY.examples(one.task).inputs) for one in DEALT]
    shortest, longest = numbers.index(7), numbers.index(10)
    alone = _snapshots(short, [shortest], backend)[-1]
    beside = _snapshots(short, [longest, 0, shortest, 1, 2], backend)[-1]
    assert alone.weights[0].tobytes() == beside.weights[2].tobytes()
    assert alone.losses[0] == beside.losses[2]


def test_a_run_does_not_depend_on_how_many_there_are_but_on_the_seed(short: ZooConfig) -> None:
    (run,) = _snapshots(short, [1])[-1].weights
    (more,) = _snapshots(dataclasses.replace(short, num_runs=1000, runs_per_shard=7), [1])[-1].weights
    (other,) = _snapshots(dataclasses.replace(short, seed=1), [1])[-1].weights
    assert np.array_equal(run, more)
    assert not np.array_equal(run, other)


def test_progress_and_snapshots_come_in_order(short: ZooConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "STEPS_PER_CALL", 50)
    config = dataclasses.replace(short, num_steps=120)
    reached = train_runs(config, FAMILY, SPEC, NumbaBackend(), [0], [DEALT[0].task])
    told = [(one.step, "snapshot") if isinstance(one, TrainedSnapshots) else one for one in reached]
    assert told == [(0, "snapshot"), 50, 100, (100, "snapshot"), 120, (120, "snapshot")]


def test_how_often_a_backend_is_called_changes_nothing(short: ZooConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    (expected,) = _snapshots(short, [3])[-1].weights
    monkeypatch.setattr(train, "STEPS_PER_CALL", 5)
    (again,) = _snapshots(short, [3])[-1].weights
    assert again.tobytes() == expected.tobytes()


def test_the_first_snapshot_is_pytorchs_start_and_has_no_training_loss(short: ZooConfig) -> None:
    first = _snapshots(short, list(range(40)))[0]
    bound = 8**-0.5
    assert first.step == 0
    assert np.isnan(first.losses).all()
    assert np.abs(first.weights).max() <= bound
    assert first.weights.std() == pytest.approx(bound / 3**0.5, rel=0.01)
    assert len(np.unique(first.weights)) > 0.99 * first.weights.size


def test_the_training_loss_is_that_of_the_last_batch(short: ZooConfig) -> None:
    config = dataclasses.replace(short, num_steps=1)
    untrained, trained = _snapshots(config, [0])
    examples = FAMILY.examples(DEALT[0].task)
    generator = train.numpy_generator(0, "run", 0, "batches")
    drawn = generator.choice(len(examples.inputs), size=32, p=examples.weights)
    stack = RNNStack.from_flat(SPEC, torch.from_numpy(untrained.weights))
    logits, _ = stack(torch.nn.functional.one_hot(torch.from_numpy(examples.inputs[drawn])[None].long(), 6).float())
    loss = torch.nn.functional.cross_entropy(
        logits[0].flatten(0, 1), torch.from_numpy(examples.targets[drawn]).long().flatten()
    )
    assert trained.losses[0] == pytest.approx(loss.item(), abs=1e-6)


def test_snapshots_are_copies(short: ZooConfig) -> None:
    first, last = _snapshots(short, [0])
    assert not np.shares_memory(first.weights, last.weights)
    assert not np.array_equal(first.weights, last.weights)


# -- batches ---------------------------------------------------------------------------------------


def _examples(number: int, weights: np.ndarray | None = None) -> SequenceExamples:
    rows = np.arange(3 * number, dtype=np.uint8).reshape(number, 3)
    return SequenceExamples(rows, rows + 1, np.full(number, 1 / number) if weights is None else weights)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.integers(6, 40), st.integers(0, 2**32))
def test_merged_batches_count_the_draws(numbers: list[int], batch_size: int, seed: int) -> None:
    examples = [_examples(number) for number in numbers]
    batches = draw_batches(
        examples, 6, 4, batch_size, [np.random.default_rng([seed, run]) for run in range(len(numbers))]
    )
    assert batches.rows.shape == batches.weights.shape == (len(numbers), 4, 6)
    assert (batches.rows == np.arange(6)).all()
    np.testing.assert_allclose(batches.weights.sum(axis=2), 1, rtol=1e-6)
    for run, number in enumerate(numbers):
        drawn = np.random.default_rng([seed, run]).choice(number, size=(4, batch_size), p=np.full(number, 1 / number))
        counts = np.stack([np.bincount(batch, minlength=6) for batch in drawn])
        np.testing.assert_array_equal(batches.weights[run], (counts / batch_size).astype(np.float32))


@given(st.integers(1, 5), st.integers(0, 2**32))
def test_where_examples_outnumber_the_batch_each_draw_is_a_row(batch_size: int, seed: int) -> None:
    batches = draw_batches([_examples(9)], 9, 4, batch_size, [np.random.default_rng(seed)])
    assert batches.rows.shape == (1, 4, batch_size)
    assert (batches.weights == np.float32(1 / batch_size)).all()
    assert batches.rows.max() < 9


def test_examples_are_drawn_as_often_as_they_weigh() -> None:
    weights = np.array([0.7, 0.2, 0.1, 0.0])
    batches = draw_batches([_examples(4, weights)], 4, 4000, 32, [np.random.default_rng(0)])
    np.testing.assert_allclose(batches.weights.mean(axis=(0, 1)), weights, atol=0.01)


def test_images_are_one_array_for_all_runs() -> None:
    numbers = np.random.default_rng(0)
    images, labels = numbers.integers(0, 256, (6, 4), dtype=np.uint8), np.arange(6, dtype=np.uint8)
    maps = [numbers.integers(0, 6, (3, 2), dtype=np.int32) for _ in range(2)]
    values = np.linspace(0, 1, 256, dtype=np.float32)
    padded = pad_examples([FrameExamples(images, labels, values, one) for one in maps], 6)
    assert isinstance(padded, RunFrames)
    assert padded.images is images
    assert (padded.pixel_map == np.stack(maps)).all()


def test_fewer_examples_are_padded_with_the_first() -> None:
    padded = pad_examples([_examples(2), _examples(4)], 5)
    assert isinstance(padded, RunSequences)
    assert padded.inputs.shape == padded.targets.shape == (2, 5, 3)
    assert padded.inputs[0].tolist() == [[0, 1, 2], [3, 4, 5], [0, 1, 2], [0, 1, 2], [0, 1, 2]]
    assert (padded.targets == padded.inputs + 1).all()
