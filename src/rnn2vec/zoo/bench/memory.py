"""How much memory training takes."""

from __future__ import annotations

import multiprocessing
import re
import resource
import sys
from multiprocessing.connection import Connection
from pathlib import Path

from rnn2vec.zoo.backends.numba_backend import NumbaBackend
from rnn2vec.zoo.bench.contenders import BackendContender
from rnn2vec.zoo.bench.workload import workload


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


def peak_bytes() -> int:
    """The most memory this process has had.

    On Linux from /proc: what `getrusage` says there includes the process that started this one. Elsewhere it is all
    there is; macOS counts it in bytes.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return 1024 * int(re.findall(r"VmHWM:\s*(\d+) kB", status.read_text())[0])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
