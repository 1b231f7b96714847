"""A real `kill -9` while an index grows: what was reported as added is there, the rest is added by the same command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from rnn2vec.index.index import Index

SCRIPT = """
import sys
import numpy as np
from rnn2vec.index.index import Index

index = Index.build(sys.argv[1], 8)
vectors = np.random.default_rng(0).normal(size=(4000, 8)).astype(np.float32)
for start in range(0, 4000, 50):
    rows = range(start, start + 50)
    index.add([f"rnn {row}" for row in rows], vectors[start:start + 50], {"row": rows})
    print(start + 50, flush=True)
"""


def _start(folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SCRIPT, str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


@pytest.mark.slow
def test_a_kill_loses_nothing_that_was_reported(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    generator = np.random.default_rng(0)
    for _ in range(4):
        process = _start(folder)
        assert process.stdout is not None
        reported = [int(process.stdout.readline()) for _ in range(int(generator.integers(3, 18)))]
        time.sleep(float(generator.uniform(0, 0.02)))
        process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate()
        assert process.returncode == -signal.SIGKILL
        index = Index.open(folder)
        assert len(index.vectors) >= max([*reported, *map(int, rest.split())])
        assert index.names == [f"rnn {row}" for row in range(len(index))]
    process = _start(folder)
    process.communicate(timeout=120)
    assert process.returncode == 0
    index = Index.open(folder)
    expected = np.random.default_rng(0).normal(size=(4000, 8)).astype(np.float32)
    np.testing.assert_array_equal(index.vectors, expected)
    assert index.table.column("row").to_pylist() == list(range(4000))
    assert not list(folder.rglob("*.tmp"))
