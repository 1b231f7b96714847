"""The contenders of a benchmark, which all do the same work.

The alternatives are written as an expert in the respective library would write them: the data is in memory, there is no
unnecessary Python between updates, and processes that share the cores use one thread each.
"""

from __future__ import annotations

import multiprocessing
from abc import ABC, abstractmethod
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Float32

from benchmarks.zoo.workload import BATCH_SIZE, Workload, as_arrays
from rnn2vec._seeding import numpy_generator
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.zoo.backends.base import Backend, TrainingState
from rnn2vec.zoo.train import STEPS_PER_CALL, pad_examples

RATE, DECAY = 0.003, 1e-4


class Contender(ABC):
    """An implementation of training, including drawing batches.

    Args:
        name: name for the table.
        rows: number of batch rows that it computes.
    """

    is_ours: ClassVar[bool] = False
    """True for a backend of this library."""

    def __init__(self, name: str, rows: int = BATCH_SIZE) -> None:
        self.name = name
        self.rows = rows

    @abstractmethod
    def run(self, updates: int) -> int:
        """Make `updates` updates of each RNN; return the number of model-steps (RNNs times updates)."""

    def close(self) -> None:  # noqa: B027 (most hold no resources)
        """Release processes."""


def initial_weights(spec: RNNSpec, number: int) -> Float32[np.ndarray, "N P"]:
    """Draw the flat weights of N RNNs as PyTorch initializes them."""
    bound = spec.hidden_size**-0.5
    drawn = numpy_generator(0, "bench", "weights").uniform(-bound, bound, (number, spec.num_parameters))
    return drawn.astype(np.float32)


class BackendContender(Contender):
    """A backend of this library, with batches as in a build.

    Args:
        name: name for the table.
        backend: the backend.
        workload: the runs to train.
        merged: merge equal draws into one weighted row, as a build does.
    """

    is_ours = True

    def __init__(self, name: str, backend: Backend, workload: Workload, *, merged: bool) -> None:
        super().__init__(name, workload.most if merged and workload.most <= BATCH_SIZE else BATCH_SIZE)
        self._backend, self._workload, self._merged = backend, workload, merged
        number = len(workload.examples)
        self._padded = pad_examples(workload.examples, workload.most)
        self._state = TrainingState.start(initial_weights(workload.spec, number))
        self._generators = [numpy_generator(0, "bench", run) for run in range(number)]

    def run(self, updates: int) -> int:
        """Train; see `Contender.run`."""
        number = len(self._workload.examples)
        for start in range(0, updates, STEPS_PER_CALL):
            count = min(STEPS_PER_CALL, updates - start)
            batches = self._workload.batches(count, self._generators, merged=self._merged)
            rates, decay = np.full(count, RATE), np.full(number, DECAY)
            self._backend.train(self._workload.spec, self._padded, self._state, batches, rates, decay)
        return updates * number


class StackedTorch(BackendContender):
    """All RNNs as batched products in torch, 32 rows each, which is equivalent to `torch.func.vmap` over a cell."""

    is_ours = False


class OneModulePerProcess(Contender):
    """`torch.nn.LSTM` and `torch.optim.AdamW`, with one RNN per process and one process per core.

    Args:
        workload: the runs to train; process i trains run i.
        num_processes: number of processes.
    """

    def __init__(self, workload: Workload, num_processes: int) -> None:
        super().__init__("torch.nn, a process per core")
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Any] = []
        self._processes: list[SpawnProcess] = []
        for run in range(num_processes):
            ours, theirs = context.Pipe()
            arrays = as_arrays(workload.examples[run], workload.spec.input_size)
            process = context.Process(target=_serve, args=(theirs, workload.spec, *arrays), daemon=True)
            process.start()
            self._pipes.append(ours)
            self._processes.append(process)

    def run(self, updates: int) -> int:
        """Train; see `Contender.run`."""
        for pipe in self._pipes:
            pipe.send(updates)
        for pipe in self._pipes:
            pipe.recv()
        return updates * len(self._pipes)

    def close(self) -> None:
        """End the processes."""
        for pipe in self._pipes:
            pipe.send(0)
        for process in self._processes:
            process.join()


def _serve(pipe: Connection, spec: RNNSpec, inputs: Float[np.ndarray, "E T I"], targets: np.ndarray) -> None:
    """Train in a separate process on request, until 0 updates are requested."""
    torch.set_num_threads(1)
    train = module_trainer(spec, inputs, targets)
    while updates := pipe.recv():
        train(updates)
        pipe.send(updates)


def module_trainer(
    spec: RNNSpec, inputs: Float[np.ndarray, "E T I"], targets: np.ndarray
) -> Callable[[int], torch.nn.Module]:
    """Build the usual training loop: a function that makes a number of updates and returns the module."""
    (net,) = RNNStack.from_flat(spec, torch.from_numpy(initial_weights(spec, 1))).to_modules()
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY, fused=True)
    all_inputs, all_targets = torch.from_numpy(inputs), torch.from_numpy(targets)

    def train(updates: int) -> torch.nn.Module:
        for _ in range(updates):
            rows = torch.randint(len(all_inputs), (BATCH_SIZE,))
            outputs, _ = net(all_inputs[rows])
            loss = torch.nn.functional.cross_entropy(outputs.flatten(0, 1), all_targets[rows].flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return net

    return train
