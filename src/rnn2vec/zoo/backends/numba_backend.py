"""LSTMs on the CPU: a compiled kernel per model, models spread over threads.

See `numba_kernels` for the kernel. BLAS runs on one thread inside it: the parallelism is over models.
"""

from __future__ import annotations

import importlib.util
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Float64

from rnn2vec.rnn.interface import Kind
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.zoo.backends.base import Batches, RunExamples, RunTokens, TrainingState


class NumbaBackend:
    """Trains each run in its own thread.

    Args:
        num_threads: runs trained at the same time; as many as there are usable cores by default.
    """

    name = "numba"

    def __init__(self, num_threads: int | None = None) -> None:
        usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()  # macOS has none
        self._num_threads = num_threads or usable or 1

    def supports(self, spec: RNNSpec, inputs: Kind) -> bool:
        """LSTMs that read tokens, where Numba is installed."""
        return inputs == "categorical" and spec.cell == "lstm" and importlib.util.find_spec("numba") is not None

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
        from threadpoolctl import threadpool_limits  # noqa: PLC0415

        from rnn2vec.zoo.backends.numba_kernels import kernel_order, lstm_trainer  # noqa: PLC0415

        assert isinstance(examples, RunTokens)
        order = kernel_order(spec)
        trainer = lstm_trainer(
            spec.num_layers,
            spec.hidden_size,
            spec.input_size,
            spec.output_size,
            batches.rows.shape[2],
            examples.inputs.shape[2],
            state.weights.dtype == np.float64,
        )
        row_weights = batches.weights.astype(state.weights.dtype, copy=False)

        def train_run(run: int) -> None:
            arrays = (state.weights[run], state.first_moments[run], state.second_moments[run])
            packed = [np.ascontiguousarray(array[order]) for array in arrays]
            state.losses[run] = trainer(
                *packed,
                examples.inputs[run],
                examples.targets[run],
                batches.rows[run],
                row_weights[run],
                learning_rates,
                weight_decay[run],
                state.step,
            )
            for array, changed in zip(arrays, packed, strict=True):
                array[order] = changed

        with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(self._num_threads) as pool:
            list(pool.map(train_run, range(len(state.weights))))
        state.step += len(learning_rates)
