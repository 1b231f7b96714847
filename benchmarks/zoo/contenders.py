"""Who trains in a benchmark. All get the same work; what they make of it is their own business.

The alternatives are written as somebody would who knows the library: the data is on hand, no Python between updates
that is not needed, one thread per process where processes share the cores.
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
    """Trains RNNs as fast as it can, drawing batches included."""

    is_ours: ClassVar[bool] = False
    """Whether it is a backend of this library."""

    def __init__(self, name: str, rows: int = BATCH_SIZE) -> None:
        self.name = name
        self.rows = rows
        """Rows of a batch that it computes on."""

    @abstractmethod
    def run(self, updates: int) -> int:
        """Make so many updates of each RNN it trains; return the model-steps made (RNNs times updates)."""

    def close(self) -> None:  # noqa: B027 (most have nothing to give back)
        """Give back processes."""


def initial_weights(spec: RNNSpec, number: int) -> Float32[np.ndarray, "N P"]:
    """Flat weights of so many RNNs at PyTorch's start."""
    bound = spec.hidden_size**-0.5
    drawn = numpy_generator(0, "bench", "weights").uniform(-bound, bound, (number, spec.num_parameters))
    return drawn.astype(np.float32)


class BackendContender(Contender):
    """A backend of ours, fed as a build feeds it.

    Args:
        name: for the table.
        backend: the backend.
        workload: what is trained.
        merged: whether equal draws become one weighted row, as in a build.
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
        """See `Contender.run`."""
        number = len(self._workload.examples)
        for start in range(0, updates, STEPS_PER_CALL):
            count = min(STEPS_PER_CALL, updates - start)
            batches = self._workload.batches(count, self._generators, merged=self._merged)
            rates, decay = np.full(count, RATE), np.full(number, DECAY)
            self._backend.train(self._workload.spec, self._padded, self._state, batches, rates, decay)
        return updates * number


class StackedTorch(BackendContender):
    """All RNNs as batched products in torch, 32 rows each: what `torch.func.vmap` over a cell comes down to."""

    is_ours = False


class OneModulePerProcess(Contender):
    """`torch.nn.LSTM` and `torch.optim.AdamW`, one RNN in each of as many processes as there are cores.

    Args:
        workload: what is trained; process i trains run i.
        num_processes: as many as cores.
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
        """See `Contender.run`."""
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
    """In a process of its own: train as often as asked, until asked for 0 updates."""
    torch.set_num_threads(1)
    train = module_trainer(spec, inputs, targets)
    while updates := pipe.recv():
        train(updates)
        pipe.send(updates)


def module_trainer(
    spec: RNNSpec, inputs: Float[np.ndarray, "E T I"], targets: np.ndarray
) -> Callable[[int], torch.nn.Module]:
    """The usual training loop; a call makes some updates and returns the module."""
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
