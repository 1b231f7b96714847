"""Peak memory of training."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection

from benchmarks.zoo.contenders import BackendContender
from benchmarks.zoo.workload import workload
from rnn2vec.execution.memory import peak_bytes
from rnn2vec.zoo.backends.numba_backend import NumbaBackend


def peak_memory(family: str, num_runs: int) -> int:
    """Measure the peak memory, libraries included, of a process that trains runs with numba, in bytes."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_train_and_report, args=(theirs, family, num_runs))
    process.start()
    peak = ours.recv()
    process.join()
    return peak


def _train_and_report(pipe: Connection, family: str, num_runs: int) -> None:
    """Train in a separate process and send its peak memory."""
    BackendContender("numba", NumbaBackend(), workload(family, num_runs), merged=True).run(250)
    pipe.send(peak_bytes())
