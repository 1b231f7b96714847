"""Zoos larger than the memory: reading one takes as much as the limit says, whatever its size."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.zoo.fill import fill
from rnn2vec.zoo.manifest import Manifest
from rnn2vec.zoo.origin import Origin
from rnn2vec.zoo.shards import Shard
from rnn2vec.zoo.store import Zoo

_READ_ALL = """
import resource, sys
import numpy as np
from rnn2vec.zoo.store import Zoo
from rnn2vec.zoo.verify import verify

def taken():  # address space in bytes
    return int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()

limit, mapped = (float(text) * 1e6 for text in sys.argv[2:4])
zoo = Zoo.open(sys.argv[1], mapped_megabytes=mapped / 1e6)
zoo.rnns([0, len(zoo) - 1])  # what PyTorch takes once
resource.setrlimit(resource.RLIMIT_AS, (taken() + int(limit),) * 2)
total = 0.0
generator = np.random.default_rng(0)
for batch in np.array_split(generator.permutation(len(zoo)), 40):
    total += float(zoo.rnns(batch).flatten().double().sum())
status = open("/proc/self/status").read()  # getrusage would count the process that started this one too
print(total, int(status.split("VmHWM:")[1].split()[0]) // 1024)
"""


def _zoo(folder: Path, shards: int, per_shard: int) -> Zoo:
    """Write a zoo of random weights."""
    spec = RNNSpec(cell="lstm", input_size=6, hidden_size=100, num_layers=2, output_size=6)
    origin = Origin(made_by="import", family="formal-languages", family_options={}, num_shards=shards)

    def make(number: int) -> Shard:
        generator = torch.Generator().manual_seed(number)
        table = {
            "run": np.arange(per_shard) + number * per_shard,
            "step": np.zeros(per_shard, dtype=np.int64),
            **{name: np.zeros(per_shard) for name in ("offset_b", "offset_c", "offset_d", "performance")},
            "split": ["train"] * per_shard,
        }
        weights = torch.rand(per_shard, spec.num_parameters, generator=generator)
        return Shard(weights, torch.zeros(per_shard, 1, 42, dtype=torch.uint8), pa.table(table))

    return Zoo(folder, fill(folder, Manifest(origin, spec, "none", {}), make, lambda *_: None))


def _read_all(folder: Path, *, limit: float, mapped: float) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _READ_ALL, str(folder), str(limit), str(mapped)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


@pytest.mark.slow
def test_a_zoo_larger_than_the_address_space_is_read_at_random(tmp_path: Path) -> None:
    """600 MB of weights in 30 shards under a limit of 200 MB; without the limit on mappings, the same fails."""
    zoo = _zoo(tmp_path / "zoo", shards=30, per_shard=40)
    size = sum(path.stat().st_size for path in (tmp_path / "zoo/shards").iterdir()) / 1e6
    assert 580 < size < 640
    flat = _read_all(zoo.folder, limit=200, mapped=60)
    assert flat.returncode == 0, flat.stderr
    expected = sum(float(zoo.shard(place).weights.double().sum()) for place in range(30))
    total, peak = map(float, flat.stdout.split())
    assert total == pytest.approx(expected)
    assert peak < 1000, "megabytes resident, PyTorch's own included"
    greedy = _read_all(zoo.folder, limit=200, mapped=4096)
    assert greedy.returncode != 0


def test_mappings_are_let_go_of_and_come_back(tmp_path: Path) -> None:
    _zoo(tmp_path / "zoo", shards=4, per_shard=2)
    zoo = Zoo.open(tmp_path / "zoo", mapped_megabytes=2.5)  # a shard is 1 MB

    def mapped() -> list[int]:
        maps = Path("/proc/self/maps").read_text()
        return [number for number in range(4) if f"{zoo.folder}/shards/0000{number}.safetensors" in maps]

    weights = zoo.rnns(range(8)).flatten()
    assert mapped() == [2, 3]
    assert torch.equal(zoo.rnns([0, 5]).flatten(), weights[[0, 5]])
    assert mapped() == [0, 2], "the two read last"
