"""RNNs on the CPU: a compiled kernel per model, models spread over threads. See `numba_kernels` for the kernel."""

from __future__ import annotations

import importlib.util
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Float64

from rnn2vec.execution.cores import usable_cores
from rnn2vec.rnn.spec import TORCH_CELLS, RNNSpec
from rnn2vec.tasks.examples import ExampleKind
from rnn2vec.zoo.backends.base import Batches, RunExamples, RunFrames, TrainingState

LARGEST_HIDDEN_SIZE = 128
"""Beyond, a model leaves the cache, and stacked torch is as good."""
MOST_LAYERS = 3


class NumbaBackend:
    """Trains each run in its own thread.

    Args:
        num_threads: runs trained at the same time; as many as there are usable cores by default.
    """

    name = "numba"

    def __init__(self, num_threads: int | None = None) -> None:
        self._num_threads = num_threads or usable_cores()

    def obstacle(self, spec: RNNSpec, kind: ExampleKind) -> str | None:
        """Return why it does not train such RNNs here; None if it does."""
        if spec.cell not in TORCH_CELLS:
            return f"it has no kernel for the cell {spec.cell!r}"
        if kind.inputs == "numbers" or kind.targets == "numbers" or kind.is_weighted:
            return f"it has no kernel for examples that are {kind}"
        if spec.num_layers > MOST_LAYERS or spec.hidden_size > LARGEST_HIDDEN_SIZE:
            return f"it takes at most {MOST_LAYERS} layers of {LARGEST_HIDDEN_SIZE} units"
        if importlib.util.find_spec("numba") is None:
            return "the package numba is not installed (pip install numba)"
        return None

    def train(
        self,
        spec: RNNSpec,
        examples: RunExamples,
        state: TrainingState,
        batches: Batches,
        learning_rates: Float64[np.ndarray, " S"],
        weight_decay: Float64[np.ndarray, " N"],
    ) -> None:
        """See `Backend.train`."""
        from rnn2vec.zoo.backends.numba_kernels import trainer  # noqa: PLC0415

        real = state.weights.dtype
        is_frames = isinstance(examples, RunFrames)
        steps = examples.pixel_map.shape[1] if is_frames else examples.inputs.shape[2]
        train_one = trainer(spec, batches.rows.shape[2], steps, frames=is_frames, double=real == np.float64)
        row_weights = batches.weights.astype(real, copy=False)

        def train_run(run: int) -> None:
            state.losses[run] = train_one(
                state.weights[run],
                state.first_moments[run],
                state.second_moments[run],
                *_examples_of(examples, run, real),
                batches.rows[run],
                row_weights[run],
                learning_rates,
                weight_decay[run],
                state.step,
            )

        with ThreadPoolExecutor(self._num_threads) as pool:
            list(pool.map(train_run, range(len(state.weights))))
        state.step += len(learning_rates)


def _examples_of(
    examples: RunExamples, run: int, real: np.dtype[np.floating]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return a run's inputs, pixel map, byte values and targets in the form that the kernel expects."""
    if isinstance(examples, RunFrames):
        values = examples.values.astype(real, copy=False)
        return examples.images, examples.pixel_map[run], values, examples.labels[:, None]
    return examples.inputs[run], np.empty((0, 0), np.int32), np.empty(0, real), examples.targets[run]
