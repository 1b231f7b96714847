"""The zoo family of Section 5.2: classify rotated MNIST digits that arrive tile by tile.

An image is rotated by the run's angle, cut into 7 x 7 tiles of 4 x 4 pixels, and read after a BOS tile of zeros. After
each tile the RNN predicts the digit. The loss is the mean cross-entropy of all 50 predictions; the performance is the
accuracy of the last one on images that no run is trained on: a fifth of the 60,000, the same for every run. MNIST's
own test set stays unseen.

Inputs are continuous, outputs categorical: ten logits under a softmax. The paper's Section 4 compares categorical
outputs by a divergence of distributions, and the released code uses one criterion for both of its zoos. Comparing the
logits as numbers was rejected: it penalizes a shift of all ten, which changes no prediction.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Int32, UInt8
from torch import Tensor

from rnn2vec._errors import UsageError
from rnn2vec._seeding import numpy_generator
from rnn2vec._shapes import InputSequences, InputStep, OutputStep
from rnn2vec.rnn.interface import Interface
from rnn2vec.tasks import idx_images
from rnn2vec.tasks.base import AngleProperty, DealtTask, Environment, Property, Split, Task, TaskFamily, read_frames
from rnn2vec.tasks.examples import FrameExamples, LossExamples
from rnn2vec.tasks.idx_images import NUM_CLASSES, SIDE, LabelledImages


def rotation_map(side: int, degrees: float) -> Int32[np.ndarray, "S S"]:
    """Compute the source of each pixel of a rotated square image.

    Args:
        side: number of rows and columns of the image, S.
        degrees: angle of the rotation, counter-clockwise about the centre.

    Returns:
        Numbers of the source pixels, row by row; `side * side` for pixels outside the original image.
    """
    centre = (side - 1) / 2
    down, right = np.mgrid[:side, :side] - centre
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    columns = np.floor(centre + cosine * right - sine * down + 0.5).astype(np.int32)
    rows = np.floor(centre + sine * right + cosine * down + 0.5).astype(np.int32)
    inside = (rows >= 0) & (rows < side) & (columns >= 0) & (columns < side)
    return np.where(inside, rows * side + columns, side * side).astype(np.int32)


def tile_map(pixels: Int32[np.ndarray, "S S"], tile_size: int) -> Int32[np.ndarray, "T I"]:
    """Arrange the pixels of a square image as a sequence of square tiles, row by row, and row by row within each.

    The first tile is BOS: `S * S + 1` everywhere, an input of 0 (see `tasks.base.FrameExamples`).
    """
    side = len(pixels)
    count = side // tile_size
    tiles = pixels.reshape(count, tile_size, count, tile_size).swapaxes(1, 2).reshape(count * count, tile_size**2)
    blank = np.full((1, tile_size**2), side * side + 1, dtype=np.int32)
    return np.concatenate([blank, tiles])


MEAN, DEVIATION = 0.1307, 0.3081
"""Mean and standard deviation of MNIST's pixels (0 to 1), by which inputs are normalized."""
FIRST_OOD_ANGLE = 312.0
_VALIDATION_SHARE = 0.18
_VALUES = ((np.arange(256) / 255 - MEAN) / DEVIATION).astype(np.float32)


@dataclass(frozen=True)
class TiledMnist(TaskFamily):
    """MNIST rotated by one angle per run. The defaults are the paper's.

    Raises:
        UsageError: tiles that do not fill an image.
    """

    name: ClassVar[str] = "tiled-mnist"
    weight_decays: ClassVar[tuple[float, ...]] = (0.0, 0.001, 0.01, 0.1)
    probing_length: ClassVar[int | None] = 50

    tile_size: int = 4
    """Rows and columns of a tile: a divisor of 28."""
    held_out_seed: int = 0
    """Seed that selects the fifth of the images that is held out."""
    images: str | None = None
    """Fingerprint of the images; None takes those that are found, and `options` says which they are."""
    folder: Path | None = field(default=None, compare=False, repr=False, metadata={"local": True})
    """Folder of the images on this machine (see `idx_images`); not part of a zoo."""

    def __post_init__(self) -> None:
        if self.tile_size < 1 or SIDE % self.tile_size:
            divisors = [size for size in range(1, SIDE + 1) if SIDE % size == 0]
            raise UsageError(f"tile_size={self.tile_size}", remedy=f"tiles fill an image: give one of {divisors}.")

    def options(self) -> dict[str, Any]:
        """Return the options (`TaskFamily.options`), with the fingerprint of the images in use.

        Raises:
            UsageError: if no images were found.
            DataError: if the images are damaged, or are not those that were asked for.
        """
        return {**super().options(), "images": self.images or self.data.fingerprint}

    # -- sizes and names ---------------------------------------------------------------------------

    @property
    def input_size(self) -> int:
        """Pixels of a tile."""
        return self.tile_size**2

    @property
    def output_size(self) -> int:
        """A logit for each class."""
        return NUM_CLASSES

    @property
    def interface(self) -> Interface:
        """Pixels in, a distribution over the digits out; the first tile is blank."""
        return Interface(
            input_kind="continuous",
            output_kind="categorical",
            first_input=(0.0,) * self.input_size,
            input_range=(float(_VALUES[0]), float(_VALUES[-1])),
            output_names=tuple(map(str, range(NUM_CLASSES))),
        )

    @property
    def task_columns(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The angle in degrees."""
        return ("angle",)

    @property
    def properties(self) -> tuple[Property, ...]:
        """The paper's four, and the angle as a direction, in which 359 and 1 degrees are neighbours.

        The classes of the training step are the snapshot steps of the zoo.
        """
        return (
            Property("task", ("angle",), "mean-squared-error", period=360.0),
            AngleProperty("task-direction", ("angle",), "mean-squared-error"),
            Property("performance", ("performance",), "mean-squared-error"),
            Property("generalization-gap", ("generalization_gap",), "mean-squared-error"),
            Property("step", ("step",), "cross-entropy"),
        )

    def describe(self, task: Task) -> str:
        """Return the rotation in words."""
        return f"digits rotated by {task[0]:.1f} degrees"

    def decode(self, codes: Int[Tensor, " C"] | UInt8[Tensor, " C"]) -> str:
        """Return the image's number and class."""
        number = int(codes[0])
        return f"image {number}, class {self.data.labels[number]}"

    # -- tasks and splits --------------------------------------------------------------------------

    @property
    def ood_rule(self) -> str:
        """A range of angles."""
        return f"the angle is at least {FIRST_OOD_ANGLE:.0f} degrees"

    def deal(self, num_runs: int, seed: int) -> list[DealtTask]:
        """Draw an angle from each run's own stream, and assign 18 % of the in-distribution runs to validation.

        Validation runs are spread evenly, and the second in-distribution run is one, so that small zoos have some.
        """
        angles = [float(numpy_generator(seed, "run", run, "angle").uniform(0, 360)) for run in range(num_runs)]
        return [DealtTask((angle,), split) for angle, split in zip(angles, self.splits(angles), strict=True)]

    def splits(self, angles: Sequence[float]) -> list[Split]:
        """Return the split of each run, given the angles of all runs up to it, in degrees."""
        found: list[Split] = []
        num_usual = 0
        for angle in angles:
            if angle >= FIRST_OOD_ANGLE:
                found.append("ood")
                continue
            found.append("validation" if _is_validation(num_usual) else "train")
            num_usual += 1
        return found

    # -- images ------------------------------------------------------------------------------------

    @functools.cached_property
    def data(self) -> LabelledImages:
        """The training images of MNIST.

        Raises:
            UsageError: if the images were not found.
            DataError: if the images are damaged, or are not those that were asked for.
        """
        return idx_images.find(self.folder, fingerprint=self.images)

    @property
    def has_data(self) -> bool:
        """True if the images are on this machine, so that `data` downloads nothing."""
        return idx_images.at_hand(self.folder, fingerprint=self.images) is not None

    @functools.cached_property
    def _order(self) -> Int[np.ndarray, " E"]:
        generator = numpy_generator(self.held_out_seed, "tiled-mnist", "held out")
        return generator.permutation(len(self.data.images))

    @property
    def held_out(self) -> Int[np.ndarray, " M"]:
        """Numbers of the images that no run is trained on, a fifth of them."""
        return self._order[: len(self._order) // 5]

    @property
    def trained_on(self) -> Int[np.ndarray, " M"]:
        """Numbers of the training images."""
        return self._order[len(self._order) // 5 :]

    @functools.cached_property
    def _training_images(self) -> LabelledImages:
        return self._chosen(self.trained_on)

    def _chosen(self, numbers: Int[np.ndarray, " M"]) -> LabelledImages:
        return LabelledImages(self.data.images[numbers], self.data.labels[numbers])

    def pixel_map(self, task: Task) -> Int32[np.ndarray, "T I"]:
        """Return the number of the pixel that feeds each input at each step."""
        return tile_map(rotation_map(SIDE, task[0]), self.tile_size)

    def examples(self, task: Task) -> FrameExamples:
        """Return all images that are not held out."""
        return self._as_examples(self._training_images, task)

    @property
    def most_examples(self) -> int:
        """The number of training images, the same for every task."""
        return len(self.trained_on)

    def loss_examples(self, task: Task, number: int) -> LossExamples:
        """Return the first images of either part: the same for every run, so that runs do not differ by chance."""
        train, validation = (self._chosen(part[:number]) for part in (self.trained_on, self.held_out))
        return LossExamples(self._as_examples(train, task), self._as_examples(validation, task))

    def _as_examples(self, images: LabelledImages, task: Task) -> FrameExamples:
        return FrameExamples(images.images, images.labels, _VALUES, self.pixel_map(task))

    # -- rollouts ----------------------------------------------------------------------------------

    def environment(
        self, tasks: Sequence[Task], num_episodes: int, generators: Sequence[np.random.Generator]
    ) -> Environment:
        """Return an environment that shows each RNN held-out images, all different where there are enough."""
        again = num_episodes > len(self.held_out)
        drawn = [generator.choice(self.held_out, num_episodes, replace=again) for generator in generators]
        return _Showing(self, tasks, torch.from_numpy(np.stack(drawn).astype(np.int32))[..., None])

    def rollout_inputs(self, codes: Tensor, tasks: Sequence[Task]) -> InputSequences:
        """Return the images as each RNN sees them."""
        numbers = codes[..., 0].cpu().numpy()
        return self.seen(torch.from_numpy(self.data.images[numbers]), tasks)

    def seen(self, images: UInt8[Tensor, "N B K"], tasks: Sequence[Task]) -> InputSequences:
        """Return images, a byte a pixel, as the RNN of each task sees them: rotated, cut into tiles, normalized."""
        maps = np.stack([self.pixel_map(task) for task in tasks])
        return read_frames(images, _values(), torch.from_numpy(maps))


def _values() -> Float32[Tensor, " 256"]:
    return torch.from_numpy(_VALUES)


def _is_validation(number: int) -> bool:
    """Return True if the in-distribution run of this number, counted from 0, is for validation: 18 %, number 1 too."""
    before, after = (int(_VALIDATION_SHARE * count + 0.7) for count in (number, number + 1))
    return after > before


class _Showing(Environment):
    """Images shown tile by tile, regardless of the RNN's answers."""

    def __init__(self, family: TiledMnist, tasks: Sequence[Task], codes: Int[Tensor, "N B 1"]) -> None:
        self._codes = codes
        self._labels = torch.from_numpy(family.data.labels[codes[..., 0].numpy()])
        self._inputs = family.rollout_inputs(codes, tasks)
        self._position = 0
        self._answers: Tensor | None = None

    def first(self) -> InputStep:
        return self._inputs[:, :, 0]

    def next(self, outputs: OutputStep) -> InputStep | None:
        self._position += 1
        if self._position < self._inputs.shape[2]:
            return self._inputs[:, :, self._position].to(outputs)
        self._answers = outputs.argmax(dim=-1).cpu()
        return None

    def known_inputs(self) -> InputSequences:
        return self._inputs

    def codes(self) -> Int[Tensor, "N B C"]:
        return self._codes

    def performance(self) -> Float[Tensor, " N"]:
        assert self._answers is not None, "the episodes are not over yet"
        return (self._answers == self._labels).float().mean(dim=1)
