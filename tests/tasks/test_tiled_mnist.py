"""Rotated digits in tiles: tasks, examples, rollouts and properties, on a small set of images."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from rnn2vec import tasks
from rnn2vec._errors import UsageError
from rnn2vec.tasks.base import AngleProperty, Property
from rnn2vec.tasks.examples import FrameExamples
from rnn2vec.tasks.tiled_mnist import TiledMnist
from rnn2vec.zoo.rollouts import roll_out

MANY = TiledMnist().deal(3000, 5)


@pytest.fixture(scope="module")
def family(digits: Path) -> TiledMnist:
    return TiledMnist(folder=digits)


def _generators(*seeds: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in seeds]


def _read(examples: FrameExamples, row: int) -> np.ndarray:
    """The inputs (T, I) of one example, a number at a time."""
    image = examples.images[row]
    inputs = np.empty(examples.pixel_map.shape, dtype=np.float32)
    for place, feeds in np.ndenumerate(examples.pixel_map):
        byte = image[feeds] if feeds < 784 else 0
        inputs[place] = 0 if feeds == 785 else examples.values[byte]
    return inputs


# -- sizes, names and options ----------------------------------------------------------------------


def test_the_papers_family(family: TiledMnist) -> None:
    assert tasks.build("tiled-mnist") == TiledMnist()
    assert (family.input_size, family.output_size, family.task_columns) == (16, 10, ("angle",))
    assert (family.interface.input_kind, family.interface.output_kind) == ("continuous", "categorical")
    assert family.interface.output_names == tuple("0123456789")
    assert family.interface.first_input == (0.0,) * 16
    assert family.interface.input_range == pytest.approx((-0.4242, 2.8215), abs=1e-4)
    assert family.weight_decays == (0, 0.001, 0.01, 0.1)
    assert family.describe((12.34,)) == "digits rotated by 12.3 degrees"
    assert family.before_end(torch.zeros(2, 3, 1, dtype=torch.int32)) is None


def test_options_say_which_images_but_not_where(family: TiledMnist, digits: Path) -> None:
    options = family.options()
    assert options == {"tile_size": 4, "held_out_seed": 0, "images": family.data.fingerprint}
    assert str(digits) not in str(options)
    assert str(digits) not in repr(family)
    again = tasks.build("tiled-mnist", options)
    assert again.options() == options
    assert isinstance(again, TiledMnist)
    assert again.data is family.data


@pytest.mark.parametrize("size", [0, 3, 5, 56])
def test_tiles_must_fill_an_image(size: int) -> None:
    with pytest.raises(UsageError, match=rf"tile_size={size}\n.*\[1, 2, 4, 7, 14, 28\]"):
        TiledMnist(tile_size=size)


# -- tasks and splits ------------------------------------------------------------------------------


def test_splits_are_by_angle() -> None:
    angles = {split: [one.task[0] for one in MANY if one.split == split] for split in ("train", "validation", "ood")}
    assert min(angles["ood"]) >= 312 > max(angles["train"] + angles["validation"])
    assert min(angles["train"]) >= 0
    assert max(angles["ood"]) < 360
    usual = len(angles["train"]) + len(angles["validation"])
    assert len(angles["validation"]) == pytest.approx(0.18 * usual, abs=1)
    assert len(angles["ood"]) / 3000 == pytest.approx(48 / 360, abs=0.02)
    assert len(set(MANY)) == 3000


def test_angles_are_uniform() -> None:
    counts = np.histogram([one.task[0] for one in MANY], bins=36, range=(0, 360))[0]
    assert ((counts - 3000 / 36) ** 2 / (3000 / 36)).sum() < 60  # chi squared, 35 degrees of freedom: p > 0.005


def test_validation_angles_are_those_of_training() -> None:
    validation = np.array([one.task[0] for one in MANY if one.split == "validation"])
    assert np.abs(np.histogram(validation, bins=4, range=(0, 312))[0] / len(validation) - 0.25).max() < 0.08


@given(st.integers(1, 20), st.integers(0, 100))
def test_a_runs_task_does_not_depend_on_how_many_there_are(runs: int, seed: int) -> None:
    assert TiledMnist().deal(runs, seed) == TiledMnist().deal(20, seed)[:runs]


@given(st.integers(0, 1000))
def test_the_second_usual_run_is_for_validation(seed: int) -> None:
    usual = [one.split for one in TiledMnist().deal(8, seed) if one.split != "ood"]
    assert usual[:2] == ["train", "validation"][: len(usual)]


# -- examples --------------------------------------------------------------------------------------


def test_a_fifth_is_held_out_and_nothing_is_in_both_parts(family: TiledMnist) -> None:
    assert len(family.held_out) == 20
    assert sorted([*family.held_out, *family.trained_on]) == list(range(100))
    assert family.most_examples == 80
    other = TiledMnist(folder=family.folder, held_out_seed=1)
    assert set(other.held_out.tolist()) != set(family.held_out.tolist())


def test_an_example_is_the_rotated_image_in_tiles(family: TiledMnist) -> None:
    examples = family.examples((90.0,))
    assert len(examples) == 80
    assert examples.weights.sum() == pytest.approx(1)
    number = family.trained_on[3]
    assert examples.labels[3] == family.data.labels[number]
    inputs = _read(examples, 3)
    assert (inputs[0] == 0).all()
    turned = np.rot90(family.data.images[number].reshape(28, 28))
    normalized = (turned / 255 - 0.1307) / 0.3081
    for tile, expected in zip(
        inputs[1:], [normalized[r : r + 4, c : c + 4] for r in range(0, 28, 4) for c in range(0, 28, 4)], strict=True
    ):
        np.testing.assert_allclose(tile, expected.ravel(), atol=1e-6)


def test_what_lies_outside_the_image_is_black(family: TiledMnist) -> None:
    examples = family.examples((45.0,))
    assert (_read(examples, 0)[1] == examples.values[0]).all()


def test_tasks_share_their_images(family: TiledMnist) -> None:
    first, second = family.examples((10.0,)), family.examples((200.0,))
    assert first.images is second.images
    assert (first.pixel_map != second.pixel_map).any()


def test_losses_are_measured_on_the_same_images_for_every_task(family: TiledMnist) -> None:
    one, other = family.loss_examples((10.0,), 15), family.loss_examples((200.0,), 15)
    assert isinstance(one.train, FrameExamples)
    assert isinstance(one.validation, FrameExamples)
    assert isinstance(other.validation, FrameExamples)
    assert (one.train.images == family.data.images[family.trained_on[:15]]).all()
    assert (one.validation.images == family.data.images[family.held_out[:15]]).all()
    assert (one.validation.images == other.validation.images).all()
    assert len(family.loss_examples((10.0,), 1000).validation) == 20


# -- rollouts --------------------------------------------------------------------------------------


class Watcher:
    """Answers with the class that it is told; keeps what it read."""

    def __init__(self, answers: Tensor) -> None:
        self._answers = answers
        self.read: list[Tensor] = []

    def initial_state(self, num_sequences: int) -> int:
        return num_sequences

    def step(self, inputs: Tensor, state: Any) -> tuple[Tensor, Any]:
        self.read.append(inputs)
        is_last = len(self.read) == 50
        return torch.nn.functional.one_hot(self._answers if is_last else 9 - self._answers, 10).float(), state


def test_every_rnn_sees_held_out_images_at_its_angle_and_is_judged_by_its_last_answer(family: TiledMnist) -> None:
    angles = [(30.0,), (250.0,)]
    codes = family.environment(angles, 8, _generators(1, 2)).codes()
    assert codes.shape == (2, 8, 1)
    assert codes.dtype == torch.int32
    assert set(codes.flatten().tolist()) <= set(family.held_out.tolist())
    assert all(len(set(row.flatten().tolist())) == 8 for row in codes)

    right = torch.from_numpy(family.data.labels[codes[..., 0].numpy()]).long()
    answers = right.clone()
    answers[1, :2] = (answers[1, :2] + 1) % 10
    watcher, environment = Watcher(answers), family.environment(angles, 8, _generators(1, 2))
    roll_out(watcher, environment)
    assert environment.performance().tolist() == [1.0, 0.75]
    assert torch.equal(environment.codes(), codes)
    read = torch.stack(watcher.read, dim=2)
    assert torch.equal(read, family.rollout_inputs(codes, angles))
    place = family.held_out.tolist().index(int(codes[1, 5, 0]))
    examples = family.loss_examples(angles[1], 20).validation
    assert isinstance(examples, FrameExamples)
    np.testing.assert_array_equal(read[1, 5].numpy(), _read(examples, place))


def test_images_come_again_only_where_there_are_too_few(family: TiledMnist) -> None:
    codes = family.environment([(0.0,)], 30, _generators(4)).codes()
    assert codes.shape == (1, 30, 1)
    assert max(Counter(codes.flatten().tolist()).values()) > 1


def test_a_rollout_for_people(family: TiledMnist) -> None:
    assert family.decode(torch.tensor([37], dtype=torch.int32)) == "image 37, class 7"


# -- properties ------------------------------------------------------------------------------------


def _property(name: str) -> Property:
    return next(one for one in TiledMnist().properties if one.name == name)


def test_the_angle_is_a_number_as_in_the_paper_and_a_direction() -> None:
    table = {"angle": np.array([0.0, 90.0, 359.0])}
    assert _property("task").loss == "mean-squared-error"
    assert _property("task").period == 360
    np.testing.assert_allclose(_property("task").target(table)[:, 0], [0, 90, 359])
    direction = _property("task-direction")
    assert isinstance(direction, AngleProperty)
    target = direction.target(table)
    np.testing.assert_allclose(target[:2], [[1, 0], [0, 1]], atol=1e-6)
    assert np.linalg.norm(target[0] - target[2]) < 0.02


def test_directions_come_back_as_angles() -> None:
    direction, angles = _property("task-direction"), np.array([0.0, 90.0, 359.0])
    found = direction.angles(direction.target({"angle": angles}).astype(float))
    assert found is not None
    np.testing.assert_allclose(found[:, 0] % 360, angles, atol=1e-4)
    number = _property("task").angles(angles[:, None])
    assert number is not None
    np.testing.assert_array_equal(number[:, 0], angles)
    assert _property("performance").angles(angles[:, None]) is None


def test_the_classes_of_the_training_step_are_left_to_the_zoo() -> None:
    step = _property("step")
    assert (step.loss, step.categories) == ("cross-entropy", None)
