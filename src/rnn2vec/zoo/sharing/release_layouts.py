"""The layouts of the two folders of the authors' public release (Zenodo record 10835106).

Both folders have

    parameters.npy         float32 (N, P)          flat weights in PyTorch's order
    args.json              options of the script that made it; not needed

The folder of formal languages also has

    sequences.npy          int16   (N, B, T + 1)   rollouts as tokens, BOS first
    logits.npy             float16 (N, B, T, O)    log-softmax outputs of the RNN for all tokens but the last
    tasks.npy              int64   (N, k)          offsets of the letters; the first is 0
    num_step_correct.npy   int64   (N, 3)          run, step, and number of 1000 sampled strings in the language

The folder of tiled sequential MNIST also has

    sequences.npy          float16 (N, B, T, I)    rollouts as normalized pixels, a blank tile first
    logits.npy             float16 (N, B, T, O)    outputs of the RNN for each tile
    tasks.npy              float64 (N, 1)          angle in degrees
    num_step.npy           int64   (N, 2)          run and step
    accuracy_losses.npy    float64 (N, 4)          validation accuracy, training and validation loss, weight decay

Our zoos store image numbers instead of pixels. Rotation is an index map, so each image is identified as the one whose
pixels, read through the map of the angle, are nearest; rotating the pixels back would lose the corners. A few pixels
may differ, since Pillow rounds at pixel borders. If more differ, the image is not in the available data set.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

from rnn2vec._errors import DataError
from rnn2vec._shapes import InputSequences, OutputSequences
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.tasks.base import Split, Task, TaskFamily
from rnn2vec.tasks.formal_languages import FormalLanguages
from rnn2vec.tasks.idx_images import SIDE
from rnn2vec.tasks.tiled_mnist import DEVIATION, MEAN, TiledMnist
from rnn2vec.zoo.evaluate import expected_losses
from rnn2vec.zoo.store import Zoo

STRINGS_COUNTED = 1000
"""Number of sampled strings behind each count of correct strings."""
_WEIGHT_DECAY = 1e-4
"""Weight decay of the paper for formal languages, which the arrays lack."""
_PIXELS_THAT_MAY_DIFFER = 0.02
"""Largest share of differing pixels at which an image counts as identified."""
_IMAGES_AT_A_TIME = 8192  # bounds the memory

Rows = Int64[np.ndarray, " M"]
"""Indices of M snapshots."""


@dataclass(frozen=True)
class Release:
    """The memory-mapped arrays of a release."""

    folder: Path
    """Folder of the arrays."""
    label: str
    """Name of the task family, for messages."""
    arrays: dict[str, np.ndarray]
    """Arrays by name."""

    def __len__(self) -> int:
        return len(self.arrays["parameters"])

    def error(self, problem: str) -> DataError:
        """Build the error that reports a problem with the release."""
        return DataError(
            f"{self.folder} is not a release of {self.label}: {problem}",
            remedy="download it again, or give --hidden-size and --layers if they differ from 32 and 2.",
        )


class Layout(ABC):
    """The arrays of one task family, for import and export.

    Args:
        family: the task family with its options.
    """

    label: ClassVar[str]
    """Name of the family, for messages."""
    dtypes: ClassVar[dict[str, np.dtype]]
    """Type of each array, by name."""
    numbers: ClassVar[str]
    """Name of the array whose first two columns are run and step."""
    dimensions: ClassVar[dict[str, int]]
    """Numbers of dimensions of the arrays that determine the family's options, by name."""

    def __init__(self, family: TaskFamily) -> None:
        self.family = family

    @staticmethod
    @abstractmethod
    def family_of(arrays: Mapping[str, np.ndarray], options: Mapping[str, Any]) -> TaskFamily:
        """Determine the family's options from the shapes of tasks and sequences.

        Args:
            arrays: arrays by name, with the right numbers of dimensions.
            options: further options of the family.

        Raises:
            UsageError: if no options of the family give these shapes.
        """

    @abstractmethod
    def shapes(self, num_rnns: int, num_rollouts: int, spec: RNNSpec) -> dict[str, tuple[int, ...]]:
        """Compute the shape of each array, by name."""

    @abstractmethod
    def problem_of_numbers(self, arrays: Mapping[str, np.ndarray]) -> str | None:
        """Describe the first impossible value in the small arrays; None if there is none."""

    @abstractmethod
    def tasks(self, stored: np.ndarray) -> list[Task]:
        """Convert rows of tasks.npy to tasks."""

    @abstractmethod
    def splits(self, tasks: Sequence[Task], seed: int) -> list[Split]:
        """Assign a split to each run, given the tasks of all runs."""

    @abstractmethod
    def rollouts(self, release: Release, rows: slice) -> tuple[InputSequences, Tensor]:
        """Read the rollouts of some RNNs, as inputs and in the family's code.

        Raises:
            DataError: if the sequences cannot be rollouts of this family.
        """

    @abstractmethod
    def properties(self, arrays: Mapping[str, np.ndarray], stack: RNNStack) -> dict[str, Any]:
        """Collect performance, losses and weight decay of some RNNs from their rows of the arrays."""

    @abstractmethod
    def arrays(self, zoo: Zoo, rows: Rows, inputs: InputSequences, outputs: OutputSequences) -> dict[str, np.ndarray]:
        """Build all arrays but the parameters for some snapshots.

        Args:
            zoo: the zoo.
            rows: indices of the snapshots.
            inputs: inputs in their rollouts.
            outputs: outputs in their rollouts.
        """


class LanguagesLayout(Layout):
    """The layout of formal languages; in a rollout without EOS, the release has an EOS in place of the BOS."""

    label = "formal languages"
    numbers = "num_step_correct"
    dtypes: ClassVar[dict[str, np.dtype]] = {
        "parameters": np.dtype("<f4"),
        "sequences": np.dtype("<i2"),
        "logits": np.dtype("<f2"),
        "tasks": np.dtype("<i8"),
        "num_step_correct": np.dtype("<i8"),
    }
    dimensions: ClassVar[dict[str, int]] = {"tasks": 2, "sequences": 3}
    family: FormalLanguages

    @staticmethod
    def family_of(arrays: Mapping[str, np.ndarray], options: Mapping[str, Any]) -> FormalLanguages:
        """Determine the family's options; see `Layout.family_of`."""
        alphabet, length = arrays["tasks"].shape[1], arrays["sequences"].shape[2]
        return FormalLanguages(alphabet_size=alphabet, sequence_length=length, **options)

    def shapes(self, num_rnns: int, num_rollouts: int, spec: RNNSpec) -> dict[str, tuple[int, ...]]:
        """Compute the shape of each array; see `Layout.shapes`."""
        return {
            "parameters": (num_rnns, spec.num_parameters),
            "sequences": (num_rnns, num_rollouts, self.family.sequence_length),
            "logits": (num_rnns, num_rollouts, self.family.sequence_length - 1, spec.output_size),
            "tasks": (num_rnns, self.family.alphabet_size),
            "num_step_correct": (num_rnns, 3),
        }

    def problem_of_numbers(self, arrays: Mapping[str, np.ndarray]) -> str | None:
        """Describe the first impossible value; see `Layout.problem_of_numbers`."""
        tasks, correct = arrays["tasks"], arrays["num_step_correct"][:, 2]
        least, most = self.family.smallest_offset, self.family.largest_offset
        if (tasks[:, 0] != 0).any():
            return "the first letter's offset is not always 0 in tasks.npy"
        if tasks.min() < least or tasks.max() > most:
            return f"offsets from {tasks.min()} to {tasks.max()}, expected {least} to {most}"
        if correct.min() < 0 or correct.max() > STRINGS_COUNTED:
            return f"a count outside 0..{STRINGS_COUNTED} in num_step_correct.npy"
        return None

    def tasks(self, stored: np.ndarray) -> list[Task]:
        """Convert rows to the offsets of all letters but the first."""
        return [tuple(map(float, row)) for row in stored[:, 1:]]

    def splits(self, tasks: Sequence[Task], seed: int) -> list[Split]:
        """Assign splits by language; our rule for out-of-distribution languages differs from the released code's."""
        splits = self.family.splits(seed).items()
        of: dict[str, Split] = {str(language): split for split, languages in splits for language in languages}
        return [of[str(self.family.language(task))] for task in tasks]

    def rollouts(self, release: Release, rows: slice) -> tuple[InputSequences, Tensor]:
        """Read tokens and restore the BOS of each rollout."""
        tokens = np.array(release.arrays["sequences"][rows])
        if tokens.min() < 0 or tokens.max() >= self.family.input_size:
            raise release.error(f"tokens from {tokens.min()} to {tokens.max()} in sequences.npy")
        tokens[:, :, 0] = self.family.bos
        codes = torch.from_numpy(tokens.astype(np.uint8))
        return self.family.rollout_inputs(codes, self.tasks(release.arrays["tasks"][rows])), codes

    def properties(self, arrays: Mapping[str, np.ndarray], stack: RNNStack) -> dict[str, Any]:
        """Take performance from the authors' count of correct strings; compute validation losses from the weights."""
        unknown = np.full(len(stack), np.nan)
        examples = [self.family.examples(task) for task in self.tasks(arrays["tasks"])]
        return {
            "performance": arrays["num_step_correct"][:, 2] / STRINGS_COUNTED,
            "train_loss": unknown,
            "validation_loss": expected_losses(self.family, stack, examples),
            "generalization_gap": unknown,
            "weight_decay": np.full(len(stack), _WEIGHT_DECAY),
        }

    def arrays(
        self,
        zoo: Zoo,
        rows: Rows,
        inputs: InputSequences,  # noqa: ARG002
        outputs: OutputSequences,
    ) -> dict[str, np.ndarray]:
        """Build the arrays, with performance rounded to a count of correct strings."""
        offsets = np.array(zoo.tasks(rows))
        correct = np.rint(zoo.column("performance")[rows] * STRINGS_COUNTED)
        return {
            "sequences": zoo.rollouts(rows).numpy(),
            "logits": outputs.log_softmax(dim=-1).numpy(),
            "tasks": np.concatenate([np.zeros((len(rows), 1)), offsets], axis=1),
            "num_step_correct": np.stack([zoo.column("run")[rows], zoo.column("step")[rows], correct], axis=1),
        }


class DigitsLayout(Layout):
    """The layout of tiled sequential MNIST."""

    label = "tiled sequential MNIST"
    numbers = "num_step"
    dtypes: ClassVar[dict[str, np.dtype]] = {
        "parameters": np.dtype("<f4"),
        "sequences": np.dtype("<f2"),
        "logits": np.dtype("<f2"),
        "tasks": np.dtype("<f8"),
        "num_step": np.dtype("<i8"),
        "accuracy_losses": np.dtype("<f8"),
    }
    dimensions: ClassVar[dict[str, int]] = {"tasks": 2, "sequences": 4}
    family: TiledMnist

    @staticmethod
    def family_of(arrays: Mapping[str, np.ndarray], options: Mapping[str, Any]) -> TiledMnist:
        """Determine the family's options; see `Layout.family_of`."""
        return TiledMnist(tile_size=round(arrays["sequences"].shape[3] ** 0.5), **options)

    def shapes(self, num_rnns: int, num_rollouts: int, spec: RNNSpec) -> dict[str, tuple[int, ...]]:
        """Compute the shape of each array; see `Layout.shapes`."""
        length = (SIDE // self.family.tile_size) ** 2 + 1
        return {
            "parameters": (num_rnns, spec.num_parameters),
            "sequences": (num_rnns, num_rollouts, length, spec.input_size),
            "logits": (num_rnns, num_rollouts, length, spec.output_size),
            "tasks": (num_rnns, 1),
            "num_step": (num_rnns, 2),
            "accuracy_losses": (num_rnns, 4),
        }

    def problem_of_numbers(self, arrays: Mapping[str, np.ndarray]) -> str | None:
        """Describe the first impossible value; see `Layout.problem_of_numbers`."""
        angles, measured = arrays["tasks"], arrays["accuracy_losses"]
        if not ((angles >= 0) & (angles < 360)).all():
            return f"angles from {angles.min():g} to {angles.max():g} in tasks.npy, expected 0 to 360"
        if not (measured >= 0).all() or not (measured[:, 0] <= 1).all() or not np.isfinite(measured).all():
            return "an accuracy outside 0..1, or a negative or non-finite loss or weight decay, in accuracy_losses.npy"
        return None

    def tasks(self, stored: np.ndarray) -> list[Task]:
        """Convert rows to angles in degrees."""
        return [(float(angle),) for angle in stored[:, 0]]

    def splits(self, tasks: Sequence[Task], seed: int) -> list[Split]:  # noqa: ARG002
        """Assign splits by angle and by the order of the runs."""
        return self.family.splits([angle for (angle,) in tasks])

    def rollouts(self, release: Release, rows: slice) -> tuple[InputSequences, Tensor]:
        """Read pixels and identify the images that they come from."""
        inputs = np.array(release.arrays["sequences"][rows], dtype=np.float32)
        if not np.isfinite(inputs).all() or np.abs(inputs[:, :, 0]).max() > 0:
            raise release.error("a pixel that is not finite, or a first tile that is not blank, in sequences.npy")
        angles = np.array(release.arrays["tasks"][rows])[:, 0]
        numbers = np.empty(inputs.shape[:2], dtype=np.int32)
        for angle in np.unique(angles):
            mine = np.flatnonzero(angles == angle)
            shown = np.rint(255 * (DEVIATION * inputs[mine, :, 1:] + MEAN)).reshape(-1, SIDE**2)
            found, differing = self._nearest(float(angle), shown)
            if (differing > _PIXELS_THAT_MAY_DIFFER).any():
                worst = int(differing.argmax())
                raise DataError(
                    f"rollout {worst % numbers.shape[1]} of RNN {rows.start + mine[worst // numbers.shape[1]]} in "
                    f"{release.folder} matches no image of the data set, rotated by {angle:.1f} degrees: the nearest "
                    f"differs in {differing[worst]:.0%} of the pixels, allowed are {_PIXELS_THAT_MAY_DIFFER:.0%}",
                    remedy="set RNN2VEC_MNIST (or --mnist) to the folder of the images that the RNNs were trained on.",
                )
            numbers[mine] = found.reshape(len(mine), -1)
        return torch.from_numpy(inputs), torch.from_numpy(numbers)[..., None]

    def _nearest(
        self, angle: float, shown: Float[np.ndarray, "M K"]
    ) -> tuple[Int[np.ndarray, " M"], Float[np.ndarray, " M"]]:
        """Find the image nearest to each row of pixels (0 to 255), and the share of pixels that differ by more than 1.

        With p the pixels and f the map, sum_k (image[f(k)] - p[k])^2 equals, up to a term that does not depend on the
        image, sum_s (count[s] image[s]^2 - 2 image[s] sum_(k: f(k) = s) p[k]): a matrix product that needs no rotation.
        """
        feeds = self.family.pixel_map((angle,))[1:].ravel()
        inside = np.flatnonzero(feeds < SIDE**2)
        sums = np.zeros((SIDE**2, len(shown)), dtype=np.float32)
        np.add.at(sums, feeds[inside], shown.T[inside])
        counts = np.bincount(feeds[inside], minlength=SIDE**2).astype(np.float32)
        images = self.family.data.images
        found, least = np.zeros(len(shown), dtype=np.int64), np.full(len(shown), np.inf)
        for start in range(0, len(images), _IMAGES_AT_A_TIME):
            some = images[start : start + _IMAGES_AT_A_TIME].astype(np.float32)
            distances = (some**2 @ counts)[:, None] - 2 * some @ sums
            best = distances.argmin(axis=0)
            value = distances[best, np.arange(len(shown))]
            found, least = np.where(value < least, start + best, found), np.minimum(value, least)
        black = np.zeros((len(found), 1), dtype=np.uint8)
        rotated = np.concatenate([images[found], black], axis=1)[:, feeds]
        return found, (np.abs(rotated - shown) > 1).mean(axis=1)

    def properties(self, arrays: Mapping[str, np.ndarray], stack: RNNStack) -> dict[str, Any]:  # noqa: ARG002
        """Read all properties from the arrays."""
        accuracy, train, validation, decay = arrays["accuracy_losses"].T
        return {
            "performance": accuracy,
            "train_loss": train,
            "validation_loss": validation,
            "generalization_gap": validation - train,
            "weight_decay": decay,
        }

    def arrays(self, zoo: Zoo, rows: Rows, inputs: InputSequences, outputs: OutputSequences) -> dict[str, np.ndarray]:
        """Build the arrays, with images as the pixels that the RNNs received."""
        names = ("performance", "train_loss", "validation_loss", "weight_decay")
        return {
            "sequences": inputs.numpy(),
            "logits": outputs.numpy(),
            "tasks": np.array(zoo.tasks(rows)),
            "num_step": np.stack([zoo.column(name)[rows] for name in ("run", "step")], axis=1),
            "accuracy_losses": np.stack([zoo.column(name)[rows] for name in names], axis=1),
        }


LAYOUTS: dict[str, type[Layout]] = {FormalLanguages.name: LanguagesLayout, TiledMnist.name: DigitsLayout}
"""Layouts by the name of their task family."""
