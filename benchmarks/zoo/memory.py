"""How much memory training takes."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection

from benchmarks.zoo.contenders import BackendContender
from benchmarks.zoo.workload import workload
from rnn2vec.execution.memory import peak_bytes
from rnn2vec.zoo.backends.numba_backend import NumbaBackend


def peak_memory(family: str, num_runs: int) -> int:
    """The most memory, in bytes, of a process that trains so many runs by numba, libraries and all."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_train_and_tell, args=(theirs, family, num_runs))
    process.start()
    peak = ours.recv()
    process.join()
    return peak


def _train_and_tell(pipe: Connection, family: str, num_runs: int) -> None:
    """In a process of its own, whose memory is nobody else's."""
    BackendContender("numba", NumbaBackend(), workload(family, num_runs), merged=True).run(250)
    pipe.send(peak_bytes())
