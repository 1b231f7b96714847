"""Zoos on disk: a folder that can be read while it grows.

    zoo.json                     the manifest: format, config or origin, shards with checksums
    shards/00000.safetensors     `weights` float32 (n, P) and `rollouts` (n, B, C) in the family's code
    shards/00000.parquet         one row a snapshot: run, step, task, properties, split
    build.jsonl                  when and how fast; no part of the promise that equal seeds give equal bytes

The manifest is replaced after each finished shard, and a shard counts only once it stands there. Nothing is
pickled; checksums are verified when a shard is first read.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import safetensors.torch
import torch
from jaxtyping import Int, Int64, UInt8
from torch import Tensor

from rnn2vec import tasks
from rnn2vec._assets import shipped_folder
from rnn2vec._conditions import matching
from rnn2vec._errors import DataError, UsageError
from rnn2vec._parquet import read_table
from rnn2vec._progress import Progress, silent
from rnn2vec.rnn.stack import RNNStack, slice_of
from rnn2vec.tasks.base import Split, Task, TaskFamily
from rnn2vec.zoo.change import filter_zoo, merge_zoos, subset_zoo
from rnn2vec.zoo.manifest import Manifest, ShardEntry
from rnn2vec.zoo.shards import ReadableZoo, Shard, damage

MAPPED_MEGABYTES = 4096
"""Address space for mapped shards of an open zoo, by default: the paper's zoos fit in."""


class Zoo(ReadableZoo):
    """A zoo on disk, memory-mapped. Rows are snapshots, in the order of the runs and within a run of the steps.

    Examples:
        >>> zoo = Zoo("zoo")
        >>> len(zoo), zoo[0]
        (4, RNNStack(1 RNNs: lstm 2x4, 6 inputs, 6 outputs))
        >>> zoo[zoo.where(step=3)].flatten().shape
        torch.Size([2, 382])

    Weights and rollouts may be larger than the memory: shards are mapped when they are read, the one that was read
    longest ago is let go when all together pass a limit, and what is handed out are copies of the chosen rows.

    Args:
        folder: folder of the zoo.
        manifest: its manifest, if it was read before.
        mapped_megabytes: the limit; the shard in use may exceed it.
        is_verified: whether the checksums of all shards have just been verified, by `verify_checksums`.
    """

    def __init__(
        self,
        folder: str | Path,
        manifest: Manifest | None = None,
        *,
        mapped_megabytes: float = MAPPED_MEGABYTES,
        is_verified: bool = False,
    ) -> None:
        self.folder = Path(folder)
        manifest = Manifest.read(self.folder) if manifest is None else manifest
        self.manifest = manifest
        self.spec = manifest.spec
        self.family: TaskFamily = tasks.build(manifest.made.family, manifest.made.family_options)
        self._is_verified = is_verified
        self._mapped_bytes = mapped_megabytes * 1e6
        self._tensors: dict[int, dict[str, Tensor]] = {}  # the one read longest ago first
        self._tables: dict[int, pa.Table] = {}  # of every shard that was read: it is verified
        self._starts = np.cumsum([0, *(entry.num_rnns for entry in manifest.shards)])

    @classmethod
    def open(cls, folder: str | Path, *, mapped_megabytes: float = MAPPED_MEGABYTES, is_verified: bool = False) -> Zoo:
        """Open a zoo; finished shards of a growing one are there.

        Args:
            folder: where it is.
            mapped_megabytes: see the class; matters only under a limit of address space (`ulimit -v`).
            is_verified: see the class; else a shard's checksum is verified when the shard is first read.

        Raises:
            UsageError: if the folder is not a zoo.
            DataError: if the manifest is damaged or newer than this library.
        """
        return cls(folder, mapped_megabytes=mapped_megabytes, is_verified=is_verified)

    @classmethod
    def sample(cls, name: str) -> Zoo:
        """Open a sample zoo that comes with the package: a few snapshots for examples and tests.

        Args:
            name: `formal-languages`.

        Raises:
            UsageError: if there is no sample of that name.
        """
        return cls.open(shipped_folder("zoos", name))

    @classmethod
    def merge(cls, zoos: Sequence[Zoo], out: str | Path, *, progress: Progress = silent) -> Zoo:
        """Merge all snapshots of several zoos of one family and architecture; see `zoo.change.merge_zoos`.

        Raises:
            UsageError: if the zoos do not fit together, one adds no RNN, or the folder holds something else.
            BusyError: another process writes there.
        """
        return cls(Path(out), merge_zoos(zoos, out, progress=progress))

    def filter(
        self,
        out: str | Path,
        *,
        where: Sequence[str] = (),
        split: Split | None = None,
        num_rollouts: int | None = None,
        progress: Progress = silent,
    ) -> Zoo:
        """Write the snapshots for which every condition holds as a zoo of their own; see `zoo.change.filter_zoo`.

        Raises:
            UsageError: if nothing matches, a condition cannot be read, or the folder holds something else.
            BusyError: another process writes there.
        """
        manifest = filter_zoo(self, out, where=where, split=split, num_rollouts=num_rollouts, progress=progress)
        return Zoo(Path(out), manifest)

    def subset(self, out: str | Path, *, num_runs: int, seed: int = 0, progress: Progress = silent) -> Zoo:
        """Write all snapshots of some runs, drawn by seed, as a zoo of their own; see `zoo.change.subset_zoo`.

        Raises:
            UsageError: if there are fewer runs, or the folder holds something else.
            BusyError: another process writes there.
        """
        return Zoo(Path(out), subset_zoo(self, out, num_runs=num_runs, seed=seed, progress=progress))

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, chosen: int | slice | Sequence[int] | Sequence[bool] | np.ndarray) -> RNNStack:
        """Return some snapshots as a stack: one for a number, else those of a slice, of numbers or of a mask.

        Raises:
            IndexError: if a number is out of range.
        """
        return self.rnns(np.arange(len(self))[slice_of(chosen, len(self))])

    def __iter__(self) -> Iterator[RNNStack]:
        for shard, start in enumerate(self._starts[:-1].tolist()):
            yield from self.rnns(range(start, int(self._starts[shard + 1])))

    def __repr__(self) -> str:
        return f"Zoo({str(self.folder)!r}: {len(self)} RNNs, {self.spec})"

    @property
    def is_complete(self) -> bool:
        """True if every shard is finished."""
        return len(self.manifest.shards) == self.manifest.num_shards

    def identity(self) -> dict[str, str]:
        """Return what results say of this zoo: `folder`, a name for people, and `checksum`, of config and weights."""
        return {"folder": self.folder.name, "checksum": self.manifest.checksum}

    @functools.cached_property
    def properties(self) -> pa.Table:
        """Table with a row for each snapshot: run, step, task columns, performance, losses, weight decay, seed, split.

        Raises:
            DataError: if no shard is finished, or one is damaged.
        """
        if not self.manifest.shards:
            remedy = f"rerun `rnn2vec zoo {self.manifest.verb}` to continue."
            raise DataError(f"{self.folder} has no finished shard yet", remedy=remedy)
        return pa.concat_tables([self.shard(i).properties for i in range(len(self.manifest.shards))]).combine_chunks()

    def column(self, name: str) -> np.ndarray:
        """Return one property of every snapshot, `(N,)`.

        Raises:
            UsageError: if the property is unknown.
        """
        table = self.properties
        if name not in table.column_names:
            raise UsageError(f"no property {name!r}", remedy=f"there are: {', '.join(table.column_names)}.")
        return table.column(name).to_numpy()

    def tasks(self, indices: Sequence[int] | np.ndarray) -> list[Task]:
        """Return the task of each chosen snapshot."""
        table = self.properties.select(list(self.family.task_columns)).take(self._rows(indices))
        rows = zip(*(table.column(name).to_pylist() for name in table.column_names), strict=True)
        return [tuple(map(float, row)) for row in rows]

    def split(self, name: Split) -> Int[np.ndarray, " M"]:
        """Return the snapshots whose task is in a split; there may be none."""
        return np.flatnonzero(self.column("split") == name)

    def where(self, *conditions: str, **equal: Any) -> Int[np.ndarray, " M"]:
        """Return the snapshots that meet every condition.

        Args:
            *conditions: as on the command line, such as `"performance >= 0.9"` (see `rnn2vec._conditions`).
            **equal: properties with the value, or list of values, that they must have: `step=1000, split="train"`.

        Raises:
            UsageError: if a condition cannot be read, a property is unknown, or no snapshot has a value that is asked
                for.
        """
        return np.flatnonzero(matching(self.properties, conditions, equal))

    def rnns(self, indices: Sequence[int] | np.ndarray) -> RNNStack:
        """Return the chosen snapshots as one stack."""
        return RNNStack.from_flat(self.spec, self._gather(indices, "weights"))

    def rollouts(self, indices: Sequence[int] | np.ndarray) -> UInt8[Tensor, "N B C"] | Int[Tensor, "N B C"]:
        """Return the rollouts of the chosen snapshots, in the family's compact code."""
        return self._gather(indices, "rollouts")

    def snapshots(self, indices: Sequence[int] | np.ndarray) -> Shard:
        """All that is stored about the chosen snapshots."""
        weights, rollouts = self._gather(indices, "weights"), self._gather(indices, "rollouts")
        return Shard(weights, rollouts, self.properties.take(self._rows(indices)))

    def _gather(self, indices: Sequence[int] | np.ndarray, name: str) -> Tensor:
        rows = self._rows(indices)
        if not len(rows):
            raise UsageError("no snapshot was chosen", remedy="choose at least one.")
        places = np.searchsorted(self._starts, rows, side="right") - 1
        gathered: Tensor | None = None
        for place in np.unique(places):
            mine = np.flatnonzero(places == place)
            source = cast("Tensor", getattr(self.shard(int(place)), name))
            if gathered is None:
                gathered = source.new_empty(len(rows), *source.shape[1:])
            gathered[torch.from_numpy(mine)] = source[torch.from_numpy(rows[mine] - self._starts[place])]
        assert gathered is not None
        return gathered

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
        """Return a finished shard, which is verified when it is first read.

        Raises:
            DataError: if a file is missing or damaged, or differs from the manifest.
        """
        entry = self.manifest.shards[place]
        if place not in self._tables:
            if not self._is_verified:
                self._verify(entry)
            self._tables[place] = self._read_table(entry)
        if place not in self._tensors:
            self._tensors[place] = self._map(entry)
        self._tensors[place] = self._tensors.pop(place)  # now the one read last
        while len(self._tensors) > 1 and sum(map(_num_bytes, self._tensors.values())) > self._mapped_bytes:
            self._tensors.pop(next(iter(self._tensors)))
        return Shard(**self._tensors[place], properties=self._tables[place])

    def verify_checksums(self) -> None:
        """Verify the checksums of all shards that have not been read, so that other processes need not.

        Raises:
            DataError: if a file is missing or damaged.
        """
        for entry in self.manifest.shards if not self._is_verified else ():
            self._verify(entry)
        self._is_verified = True

    def _verify(self, entry: ShardEntry) -> None:
        wrong = damage(self.folder, entry)
        if wrong is not None:
            raise DataError(wrong, remedy=self._to_mend())

    def _to_mend(self) -> str:
        """Return advice about a damaged shard."""
        verb = self.manifest.verb
        if verb == "build":
            return f"`rnn2vec zoo build` with this zoo's options and --out {self.folder} makes it again."
        return f"the `rnn2vec zoo {verb}` that made this zoo (or a pull, if it came from a hub) makes it again."

    def _read_table(self, entry: ShardEntry) -> pa.Table:
        path = self.folder / entry.file_names["parquet"]
        table = read_table(path)
        if table.num_rows != entry.num_rnns or len(set(table.column_names)) < table.num_columns:
            raise _not_a_shard(path, f"it has {table.num_rows} rows, expected {entry.num_rnns}, or a column twice")
        wanted = ("run", "step", *self.family.task_columns, "split")
        missing = sorted(name for name in wanted if name not in table.column_names or table.column(name).null_count)
        if missing:
            raise _not_a_shard(path, f"its properties lack {', '.join(missing)}")
        return table

    def _map(self, entry: ShardEntry) -> dict[str, Tensor]:
        path = self.folder / entry.file_names["safetensors"]
        try:
            tensors = safetensors.torch.load_file(path)  # memory-mapped, not copied
            tensors = {name: tensors[name] for name in ("weights", "rollouts")}
        except (safetensors.SafetensorError, KeyError, OSError) as error:
            raise _not_a_shard(path, repr(error)) from error
        sizes = (*tensors["weights"].shape, *tensors["rollouts"].shape[:1])
        expected = (entry.num_rnns, self.spec.num_parameters, entry.num_rnns)
        kinds = (tensors["weights"].dtype, tensors["rollouts"].ndim)
        if sizes != expected or kinds != (torch.float32, 3):
            raise _not_a_shard(path, f"weights and rollouts of {sizes}, expected {expected}")
        return tensors


def _num_bytes(tensors: dict[str, Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors.values())


def _not_a_shard(path: Path, reason: str) -> DataError:
    """Return an error for a file that has the checksum in the manifest but is not part of a valid shard."""
    return DataError(
        f"{path} is not part of a shard of this zoo: {reason}",
        remedy="the zoo was written incorrectly: download or build it again.",
    )
