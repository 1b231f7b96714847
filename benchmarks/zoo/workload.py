"""The work of a benchmark: RNNs and data with the shapes of a task family, and the amount of arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from rnn2vec._errors import unknown_name
from rnn2vec._seeding import numpy_generator
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.tasks.examples import Examples, FrameExamples, SequenceExamples
from rnn2vec.tasks.formal_languages import FormalLanguages
from rnn2vec.zoo.backends.base import Batches
from rnn2vec.zoo.train import draw_batches

BATCH_SIZE = 32
FAMILIES = ("formal-languages", "tiled-mnist")
_IMAGES, _SIDE, _TILE, _CLASSES = 1024, 28, 4, 10


@dataclass(frozen=True)
class Workload:
    """N runs to train, each on its own task."""

    family: str
    """Task family whose shapes are used."""
    spec: RNNSpec
    """Architecture of the paper's RNNs."""
    examples: tuple[Examples, ...]
    """Training examples of each run."""
    most: int
    """Largest number of examples of a task."""

    @property
    def num_steps(self) -> int:
        """Number of time steps of a sequence, T."""
        first = self.examples[0]
        return first.inputs.shape[1] if isinstance(first, SequenceExamples) else first.pixel_map.shape[0]

    def batches(self, updates: int, generators: Sequence[np.random.Generator], *, merged: bool) -> Batches:
        """Draw batches as a build does.

        Args:
            updates: number of batches for each run.
            generators: random generator of each run.
            merged: merge equal draws into one weighted row if tasks have few examples.
        """
        most = self.most if merged else max(self.most, BATCH_SIZE + 1)
        return draw_batches(self.examples, most, updates, BATCH_SIZE, generators)

    def flops(self, rows: int) -> int:
        """Count the floating-point operations of the matrix products in one update on a batch.

        Each weight matrix is used three times: in the forward pass, for the gradient of its input, and for its own
        gradient. The first layer needs no product for tokens (a lookup suffices), and no gradient of the input for
        pixels.

        Args:
            rows: number of rows of the batch.
        """
        spec = self.spec
        gates = spec.num_gates * spec.hidden_size
        first = 2 * spec.input_size * gates if isinstance(self.examples[0], FrameExamples) else 0
        recurrent = 3 * (2 * spec.num_layers - 1) * spec.hidden_size * gates
        return 2 * rows * self.num_steps * (first + recurrent + 3 * spec.hidden_size * spec.output_size)


def workload(family: str, num_runs: int) -> Workload:
    """Build the workload of one family: real languages, or random images, on whose content the time does not depend.

    Args:
        family: one of `FAMILIES`.
        num_runs: number of runs, N.

    Raises:
        UsageError: if the family is unknown.
    """
    if family not in FAMILIES:
        raise unknown_name("family", family, FAMILIES)
    if family == "tiled-mnist":
        examples = _images(num_runs)
        sizes, most = (_TILE**2, _CLASSES), _IMAGES
    else:
        languages = FormalLanguages()
        examples = tuple(languages.examples(dealt.task) for dealt in languages.deal(num_runs, 0))
        sizes, most = (languages.input_size, languages.output_size), languages.most_examples
    spec = RNNSpec(cell="lstm", input_size=sizes[0], hidden_size=32, num_layers=2, output_size=sizes[1])
    return Workload(family, spec, examples, most)


def _images(num_runs: int) -> tuple[FrameExamples, ...]:
    """Build random images; each run reads their tiles through its own map."""
    numbers = numpy_generator(0, "bench", "images")
    images = numbers.integers(0, 256, (_IMAGES, _SIDE**2), dtype=np.uint8)
    labels = numbers.integers(0, _CLASSES, _IMAGES, dtype=np.uint8)
    values = ((np.arange(256) / 255 - 0.1307) / 0.3081).astype(np.float32)
    blank = np.full((1, _TILE**2), _SIDE**2 + 1, dtype=np.int32)
    maps = [numbers.permutation(_SIDE**2).astype(np.int32).reshape(-1, _TILE**2) for _ in range(num_runs)]
    return tuple(FrameExamples(images, labels, values, np.concatenate([blank, one])) for one in maps)


def as_arrays(examples: Examples, input_size: int) -> tuple[Float[np.ndarray, "E T I"], Int[np.ndarray, "E T"]]:
    """Convert the examples of one run to the arrays of an ordinary training loop: inputs and targets."""
    if isinstance(examples, SequenceExamples):
        return np.eye(input_size, dtype=np.float32)[examples.inputs], examples.targets.astype(np.int64)
    numbers = np.concatenate([examples.values[examples.images], np.zeros((len(examples), 2), dtype=np.float32)], axis=1)
    numbers[:, -2] = examples.values[0]
    targets = np.repeat(examples.labels[:, None].astype(np.int64), len(examples.pixel_map), axis=1)
    return numbers[:, examples.pixel_map], targets
