"""Shards on disk, and what can be read of a zoo.

A shard is a safetensors file (weights, rollouts) and a Parquet file (a row a snapshot). `Zoo` is built on this module
and on those that make zoos of zoos, which therefore know zoos as `ReadableZoo` alone.
"""

from __future__ import annotations

import hashlib
import io
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.torch
from jaxtyping import Int, UInt8
from torch import Tensor

from rnn2vec._files import canonical_json, sha256_of, write_atomically
from rnn2vec._parquet import LARGEST_TABLE
from rnn2vec._shapes import FlatWeights
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.tasks.base import Task, TaskFamily
from rnn2vec.zoo.manifest import FORMAT_VERSION, MANIFEST, Manifest, ShardEntry

_LARGEST_HEADER = 2**16


@dataclass(frozen=True)
class Shard:
    """Content of a shard: n snapshots."""

    weights: FlatWeights
    """Flat weights in PyTorch's order, float32."""
    rollouts: UInt8[Tensor, "N B C"] | Int[Tensor, "N B C"]
    """Rollouts in the family's compact code."""
    properties: pa.Table
    """Properties, one row per snapshot."""


def write_shard(folder: Path, number: int, shard: Shard, family: str) -> ShardEntry:
    """Write a shard's files; it counts as finished once the manifest lists the entry returned."""
    tensors = {"weights": shard.weights.contiguous(), "rollouts": shard.rollouts.contiguous()}
    # One metadata key only: safetensors writes several in random order.
    note = canonical_json({"family": family, "shard": number, "format_version": FORMAT_VERSION})
    table = io.BytesIO()
    pq.write_table(shard.properties, table, compression="zstd")
    contents = {
        "safetensors": safetensors.torch.save(tensors, metadata={"rnn2vec": note}),
        "parquet": table.getvalue(),
    }
    entry = ShardEntry(number, len(shard.weights), {name: sha256_of(data) for name, data in contents.items()})
    for suffix, data in contents.items():
        path = folder / entry.file_names[suffix]
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, data)
    return entry


def checksum_of(path: Path) -> str | None:
    """Return the SHA-256 checksum of a file, read piece by piece; None when there is no regular file."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def damage(folder: Path, entry: ShardEntry) -> str | None:
    """Return what is wrong with a shard's files, by their sizes and checksums; None when they are intact."""
    for suffix, name in entry.file_names.items():
        path = folder / name
        if not path.is_file():
            return f"{path} is missing"
        if suffix == "safetensors" and not _is_covered(path):  # a sparse file of any size is not read whole
            return f"{path} is truncated or altered: its header does not fit its size"
        if suffix == "parquet" and path.stat().st_size > LARGEST_TABLE:
            return f"{path} is altered: it has {path.stat().st_size:,} bytes"
        checksum = checksum_of(path)
        if checksum != entry.checksums.get(suffix):
            return f"{path} is truncated or altered: its checksum is not the one in {MANIFEST}"
    return None


def _is_covered(path: Path) -> bool:
    """Return True if the tensors of a safetensors file fill it exactly."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > _LARGEST_HEADER:
            return False
        try:
            entries = json.loads(file.read(length))
            ends = [one["data_offsets"][1] for name, one in entries.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
            return False
    return 8 + length + max(ends, default=0, key=lambda end: end if isinstance(end, int) else 0) == path.stat().st_size


class ReadableZoo(ABC):
    """Snapshots that can be read, and what is known of them."""

    folder: Path
    """Folder of the zoo."""
    manifest: Manifest
    """Manifest of the zoo."""
    spec: RNNSpec
    """Architecture of all snapshots."""
    family: TaskFamily
    """Task family that they were trained on."""
    properties: pa.Table
    """Properties, one row a snapshot."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of snapshots."""

    @abstractmethod
    def column(self, name: str) -> np.ndarray:
        """Return one property of every snapshot, `(N,)`."""

    @abstractmethod
    def tasks(self, indices: Sequence[int] | np.ndarray) -> list[Task]:
        """Return the task of each chosen snapshot."""

    @abstractmethod
    def rollouts(self, indices: Sequence[int] | np.ndarray) -> UInt8[Tensor, "N B C"] | Int[Tensor, "N B C"]:
        """Return the rollouts of the chosen snapshots, in the family's compact code."""

    @abstractmethod
    def snapshots(self, indices: Sequence[int] | np.ndarray) -> Shard:
        """Return all that is stored about the chosen snapshots."""
