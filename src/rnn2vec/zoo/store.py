"""Zoos on disk: a folder that can be read while it grows.

    zoo.json                     the manifest: format, config, snapshot steps, shards with checksums
    shards/00000.safetensors     `weights` float32 (n, P) and `rollouts` (n, B, C) in the family's code
    shards/00000.parquet         one row a snapshot: run, step, task, properties, split
    build.jsonl                  when and how fast; no part of the promise that equal seeds give equal bytes

The manifest is replaced after each finished shard, and a shard counts only once it stands there. Nothing is
pickled; checksums are verified when a shard is first read.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.torch
import torch
from jaxtyping import Int, Int64, UInt8
from torch import Tensor

from rnn2vec import tasks
from rnn2vec._errors import DataError, UsageError
from rnn2vec._files import canonical_json, read_json, sha256_of, write_atomically
from rnn2vec._shapes import FlatWeights
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.tasks.base import Split, Task, TaskFamily
from rnn2vec.zoo.config import ZooConfig

FORMAT_VERSION = 1
MANIFEST = "zoo.json"


@dataclass(frozen=True)
class ShardEntry:
    """A finished shard, as the manifest lists it."""

    number: int
    """Its place; file names come from it."""
    num_rnns: int
    """Snapshots in it."""
    checksums: dict[str, str]
    """SHA-256 of each of its files, by the file's suffix."""

    @property
    def file_names(self) -> dict[str, str]:
        """Its files relative to the zoo, by suffix."""
        return {suffix: f"shards/{self.number:05d}.{suffix}" for suffix in ("safetensors", "parquet")}


@dataclass(frozen=True)
class Shard:
    """The content of a shard: n snapshots."""

    weights: FlatWeights
    """Flat weights in PyTorch's order, float32."""
    rollouts: UInt8[Tensor, "N B C"] | Int[Tensor, "N B C"]
    """Rollouts in the family's compact code."""
    properties: pa.Table
    """One row a snapshot."""


@dataclass(frozen=True)
class Manifest:
    """The content of `zoo.json`."""

    config: ZooConfig
    """How the zoo is built; with the backend that `auto` stood for."""
    spec: RNNSpec
    """The architecture of its RNNs."""
    ood_rule: str
    """Which tasks are out of distribution, in words."""
    provenance: dict[str, str | None]
    """Versions and commit of the build's first start."""
    shards: tuple[ShardEntry, ...] = ()
    """Finished shards, in the order of their numbers."""

    @property
    def num_shards(self) -> int:
        """Shards of the finished zoo."""
        return -(-self.config.num_runs // self.config.runs_per_shard)

    def with_shard(self, entry: ShardEntry) -> Manifest:
        """The manifest with one more finished shard."""
        others = [shard for shard in self.shards if shard.number != entry.number]
        shards = tuple(sorted([*others, entry], key=lambda shard: shard.number))
        return dataclasses.replace(self, shards=shards)

    def write(self, folder: Path) -> None:
        """Write `zoo.json`, atomically."""
        content = {
            "format_version": FORMAT_VERSION,
            "config": self.config.to_dict(),
            "snapshot_steps": list(self.config.snapshot_steps),
            "specs": [self.spec.to_dict()],
            "ood_rule": self.ood_rule,
            "provenance": self.provenance,
            "shards": [dataclasses.asdict(shard) for shard in self.shards],
        }
        write_atomically(folder / MANIFEST, (canonical_json(content, indent=1) + "\n").encode())

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read `zoo.json`.

        Raises:
            UsageError: the folder is not a zoo.
            DataError: the manifest is damaged, or of a newer format.
        """
        path = folder / MANIFEST
        if not path.is_file():
            what = "has no zoo.json" if folder.is_dir() else "does not exist"
            raise UsageError(
                f"{folder} is not a zoo: it {what}", remedy="give a folder that `rnn2vec zoo build --out` made."
            )
        content = read_json(path)
        version = content.get("format_version") if isinstance(content, dict) else None
        if not isinstance(version, int):
            raise DataError(
                f"{path} names no format version", remedy="restore the file, or build the zoo again in another folder."
            )
        if version > FORMAT_VERSION:
            raise DataError(
                f"{folder} has format version {version}; this rnn2vec reads up to {FORMAT_VERSION}",
                remedy="upgrade it: pip install --upgrade rnn2vec.",
            )
        try:
            return cls(
                config=ZooConfig.from_dict(content["config"]),
                spec=RNNSpec(**content["specs"][0]),
                ood_rule=content["ood_rule"],
                provenance=content["provenance"],
                shards=tuple(ShardEntry(**shard) for shard in content["shards"]),
            )
        except (KeyError, TypeError, IndexError, UsageError) as error:
            reason = error.problem if isinstance(error, UsageError) else repr(error)
            raise DataError(
                f"{path} does not have the entries of a zoo's manifest: {reason}",
                remedy="restore the file, or build the zoo again in another folder.",
            ) from error


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


def damage(folder: Path, entry: ShardEntry) -> str | None:
    """What is wrong with a shard's files, by their checksums; None when nothing is."""
    for suffix, name in entry.file_names.items():
        path = folder / name
        if not path.is_file():
            return f"{path} is missing"
        with path.open("rb") as file:
            checksum = hashlib.file_digest(file, "sha256").hexdigest()
        if checksum != entry.checksums.get(suffix):
            return f"{path} is truncated or altered: its checksum is not the one in {MANIFEST}"
    return None


class Zoo:
    """A zoo on disk, memory-mapped. Rows are snapshots, in the order of the runs and within a run of the steps.

    Args:
        folder: where it is.
        manifest: its manifest.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self.spec = manifest.spec
        self.family: TaskFamily = tasks.build(manifest.config.family, manifest.config.family_options)
        self._shards: dict[int, Shard] = {}
        self._starts = np.cumsum([0, *(entry.num_rnns for entry in manifest.shards)])

    @classmethod
    def open(cls, folder: str | Path) -> Zoo:
        """Open a zoo; finished shards of a growing one are there.

        Raises:
            UsageError: the folder is not a zoo.
            DataError: the manifest is damaged or newer than this library.
        """
        folder = Path(folder)
        return cls(folder, Manifest.read(folder))

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __repr__(self) -> str:
        return f"Zoo({str(self.folder)!r}: {len(self)} RNNs, {self.spec})"

    @property
    def is_complete(self) -> bool:
        """Whether every shard is there."""
        return len(self.manifest.shards) == self.manifest.num_shards

    @functools.cached_property
    def properties(self) -> pa.Table:
        """One row a snapshot: run, step, task columns, performance, losses, weight decay, seed, split.

        Raises:
            DataError: no shard is finished, or one is damaged.
        """
        if not self.manifest.shards:
            raise DataError(f"{self.folder} has no finished shard yet", remedy="let `rnn2vec zoo build` go on.")
        return pa.concat_tables([self.shard(i).properties for i in range(len(self.manifest.shards))]).combine_chunks()

    def column(self, name: str) -> np.ndarray:
        """One property of every snapshot, `(N,)`.

        Raises:
            UsageError: there is no such property.
        """
        table = self.properties
        if name not in table.column_names:
            raise UsageError(f"no property {name!r}", remedy=f"there are: {', '.join(table.column_names)}.")
        return table.column(name).to_numpy()

    def tasks(self, indices: Sequence[int] | np.ndarray) -> list[Task]:
        """The task of each chosen snapshot."""
        table = self.properties.select(list(self.family.task_columns)).take(self._rows(indices))
        rows = zip(*(table.column(name).to_pylist() for name in table.column_names), strict=True)
        return [tuple(map(float, row)) for row in rows]

    def split(self, name: Split) -> Int[np.ndarray, " M"]:
        """The snapshots whose task is in a split."""
        return self.where(split=name)

    def where(self, **values: Any) -> Int[np.ndarray, " M"]:
        """The snapshots whose properties have the given values, such as `where(step=1000, split="train")`."""
        chosen = np.ones(len(self), dtype=bool)
        for name, value in values.items():
            chosen &= self.column(name) == value
        return np.flatnonzero(chosen)

    def rnns(self, indices: Sequence[int] | np.ndarray) -> RNNStack:
        """The chosen snapshots as one stack."""
        return RNNStack.from_flat(self.spec, self._gather(indices, "weights"))

    def rollouts(self, indices: Sequence[int] | np.ndarray) -> UInt8[Tensor, "N B C"] | Int[Tensor, "N B C"]:
        """The rollouts of the chosen snapshots, in the family's compact code."""
        return self._gather(indices, "rollouts")

    def _gather(self, indices: Sequence[int] | np.ndarray, name: str) -> Tensor:
        rows = self._rows(indices)
        places = np.searchsorted(self._starts, rows, side="right") - 1
        parts: list[Tensor] = []
        order: list[np.ndarray] = []
        for place in np.unique(places):
            mine = np.flatnonzero(places == place)
            source = cast("Tensor", getattr(self.shard(int(place)), name))
            parts.append(source[torch.from_numpy(rows[mine] - self._starts[place])])
            order.append(mine)
        if not parts:
            raise UsageError("no snapshot was chosen", remedy="choose at least one.")
        back = np.argsort(np.concatenate(order), kind="stable")
        return torch.cat(parts)[torch.from_numpy(back)]

    def _rows(self, indices: Sequence[int] | np.ndarray) -> Int64[np.ndarray, " M"]:
        """Numbers of snapshots as an array, checked."""
        rows = np.asarray(indices if len(indices) else np.empty(0, dtype=np.int64))
        if rows.dtype.kind not in "iu":  # a mask would pass as the numbers 0 and 1
            raise UsageError(f"snapshots given as {rows.dtype}", remedy="give their numbers; `where` finds them.")
        if len(rows) and not (rows.min() >= 0 and rows.max() < len(self)):
            raise UsageError(
                f"snapshots {rows.min()}..{rows.max()} of a zoo of {len(self)}", remedy=f"give 0 to {len(self) - 1}."
            )
        return rows.astype(np.int64)

    def shard(self, place: int) -> Shard:
        """A finished shard, verified when it is read for the first time.

        Raises:
            DataError: a file of it is missing, damaged, or holds something else than the manifest says.
        """
        if place not in self._shards:
            entry = self.manifest.shards[place]
            wrong = damage(self.folder, entry)
            if wrong is not None:
                raise DataError(
                    wrong,
                    remedy=f"`rnn2vec zoo build` with this zoo's options and --out {self.folder} makes it again.",
                )
            self._shards[place] = self._load(entry)
        return self._shards[place]

    def _load(self, entry: ShardEntry) -> Shard:
        paths = {suffix: self.folder / name for suffix, name in entry.file_names.items()}
        try:
            tensors = safetensors.torch.load_file(paths["safetensors"])  # memory-mapped, not copied
            shard = Shard(tensors["weights"], tensors["rollouts"], pq.read_table(paths["parquet"]))
        except (safetensors.SafetensorError, pa.ArrowException, KeyError) as error:
            raise _not_a_shard(paths["safetensors"], repr(error)) from error
        sizes = (*shard.weights.shape, len(shard.rollouts), shard.properties.num_rows)
        expected = (entry.num_rnns, self.spec.num_parameters, entry.num_rnns, entry.num_rnns)
        if sizes != expected:
            raise _not_a_shard(paths["safetensors"], f"weights, rollouts and rows of {sizes}, expected {expected}")
        return shard


def _not_a_shard(path: Path, reason: str) -> DataError:
    """An error for files that are what the manifest promised to the bit, and still no shard of it."""
    return DataError(
        f"{path} and the .parquet beside it are not a shard of this zoo: {reason}",
        remedy="whoever made the zoo wrote it wrongly: get or build it again.",
    )
