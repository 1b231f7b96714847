"""LSTMs on the CPU: a compiled kernel per model, models spread over threads.

See `numba_kernels` for the kernel. BLAS runs on one thread inside it: the parallelism is over models.
"""

from __future__ import annotations

import importlib.util
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Float64

from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.zoo.backends.base import Batches, RunExamples, TrainingState


class NumbaBackend:
    """Trains each run in its own thread.

    Args:
        num_threads: runs trained at the same time; as many as there are usable cores by default.
    """

    name = "numba"

    def __init__(self, num_threads: int | None = None) -> None:
        usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()  # macOS has none
        self._num_threads = num_threads or usable or 1

    def supports(self, spec: RNNSpec) -> bool:
        """LSTMs, where Numba is installed."""
        return importlib.util.find_spec("numba") is not None

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
        train_all = trainer(
            spec, batches.rows.shape[2], examples.inputs.shape[2], frames=False, double=real == np.float64
        )
        row_weights = batches.weights.astype(real, copy=False)

        def train_run(run: int) -> None:
            state.losses[run] = train_all(
                state.weights[run],
                state.first_moments[run],
                state.second_moments[run],
                examples.inputs[run],
                np.empty((0, 0), np.int32),
                np.empty(0, real),
                examples.targets[run],
                batches.rows[run],
                row_weights[run],
                learning_rates,
                weight_decay[run],
                state.step,
            )

        with ThreadPoolExecutor(self._num_threads) as pool:
            list(pool.map(train_run, range(len(state.weights))))
        state.step += len(learning_rates)
