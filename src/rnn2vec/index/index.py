"""`Index`: vectors of RNNs with names and properties, searched and added to."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from jaxtyping import Bool, Float, Float32

from rnn2vec._conditions import Condition, matching
from rnn2vec._errors import UsageError, unknown_name
from rnn2vec._lock import claim
from rnn2vec._provenance import provenance
from rnn2vec.embedding.rnn2vec import Rnn2Vec
from rnn2vec.emulation import checkpoints
from rnn2vec.index import groups, store
from rnn2vec.index.groups import Cluster
from rnn2vec.index.outliers import Familiar, Outliers, judge_members
from rnn2vec.index.search import SEARCHES, Found, Search

_SAME = 1e-4  # a vector that was computed again in another batch is rounded in another way


@dataclass(frozen=True)
class Neighbour:
    """An RNN of the index, as the answer to a query."""

    rnn: str
    """Name of the RNN."""
    distance: float
    """Distance from the query."""
    properties: dict[str, Any]
    """Properties of the RNN in the index."""


class Index:
    """Vectors of RNNs, with names and properties, in a folder that grows.

    Examples:
        >>> index = Index.build("index", Rnn2Vec("model"))
        >>> _ = index.add(["a", "b", "c"], Rnn2Vec("model").embed(gru_stack))
        >>> len(index)
        3

    Args:
        folder: where it is.
        manifest: its manifest.
        search: `exact`, or `faiss` for millions.

    Raises:
        UsageError: if there is no such search.
    """

    def __init__(self, folder: Path, manifest: store.Manifest, *, search: str = "exact") -> None:
        if search not in SEARCHES:
            raise unknown_name("search", search, SEARCHES)
        self.folder = folder
        self.manifest = manifest
        self._search_name = search
        self._read: dict[str, pa.Table] = {}
        self._is_claimed = False

    # -- making, opening, adding -------------------------------------------------------------------

    @classmethod
    def build(cls, folder: str | Path, model: Rnn2Vec | int, *, search: str = "exact") -> Index:
        """Begin an index, or open the one that is there.

        Args:
            folder: new, empty, or an index.
            model: the encoder that vectors are from (a copy is kept in the index), or the size of vectors that come
                from elsewhere.
            search: as for the class.

        Raises:
            UsageError: if the folder holds something else, or an index of other vectors.
            StorageError: if the disk refused a write.
        """
        folder = Path(folder)
        size = model if isinstance(model, int) else model.encoder.representation_size
        with claim(folder, marker=store.MANIFEST, kind="index"):
            if not (folder / store.MANIFEST).exists():
                if isinstance(model, Rnn2Vec):
                    model.save(folder / checkpoints.MODEL_FOLDER)
                store.Manifest(size, provenance()).write(folder)
        index = cls.open(folder, search=search)
        if isinstance(model, Rnn2Vec):
            index.require_model(model)
        if index.manifest.vector_size != size:
            raise UsageError(
                f"{folder} has vectors of {index.manifest.vector_size} numbers, the model makes {size}",
                remedy="give the model that the index was built with, or another folder.",
            )
        return index

    @classmethod
    def open(cls, folder: str | Path, *, search: str = "exact") -> Index:
        """Open an index.

        Raises:
            UsageError: if the folder is not an index.
            DataError: if its manifest is damaged or newer than this library.
        """
        return cls(Path(folder), store.Manifest.read(Path(folder)), search=search)

    @property
    def has_model(self) -> bool:
        """True if the index contains the encoder of its vectors; False for vectors from elsewhere."""
        return (self.folder / checkpoints.MODEL_FOLDER).is_dir()

    @functools.cached_property
    def model(self) -> Rnn2Vec:
        """The encoder that the vectors are from.

        Raises:
            UsageError: if the index was made from vectors alone.
        """
        if not self.has_model:
            raise UsageError(
                f"{self.folder} has no model: it was made from vectors", remedy="give vectors instead of checkpoints."
            )
        return Rnn2Vec.from_pretrained(self.folder / checkpoints.MODEL_FOLDER)

    def require_model(self, model: Rnn2Vec) -> None:
        """Check that vectors of a model can be compared with those of the index: that it is the index's own.

        Raises:
            UsageError: if it is another one.
        """
        own = self.model.encoder.state_dict()
        given = model.encoder.state_dict()
        if own.keys() != given.keys() or not all(torch.equal(own[name], given[name].cpu()) for name in own):
            raise UsageError(
                f"the vectors of {self.folder} are from another model",
                remedy="leave --model out: the index has its model with it; or build an index with yours.",
            )

    def add(
        self,
        names: Sequence[str],
        vectors: Float[np.ndarray, "N Z"],
        properties: Mapping[str, Any] | pa.Table | None = None,
    ) -> int:
        """Add RNNs, durably: when it returns they are on the disk. What is there already is left as it is.

        Args:
            names: of the RNNs, each once.
            vectors: one for each.
            properties: columns of values, one for each RNN; missing ones are allowed.

        Returns:
            How many were new.

        Raises:
            UsageError: if names repeat or are there with another vector, shapes do not fit, numbers are not finite, or
                a property has another type than before.
            BusyError: if another process is adding.
            StorageError: if the disk refused a write; the index is as before.
        """
        vectors = np.asarray(vectors, dtype=np.float32)
        self._require_fit(list(names), vectors)
        columns = _columns(properties or {}, len(names))
        with contextlib.nullcontext() if self._is_claimed else self.claimed():
            self._reload()
            new = self._new(list(names), vectors)
            if not new.any():
                return 0
            table = store.to_table(list(names), vectors, columns).filter(pa.array(new))
            _concatenated([*self._tables(), table])
            part = store.write_part(self.folder, len(self.manifest.parts), table)
            manifest = dataclasses.replace(self.manifest, parts=(*self.manifest.parts, part))
            manifest.write(self.folder)
        self._reload()
        return int(new.sum())

    @contextlib.contextmanager
    def claimed(self) -> Generator[None]:
        """Keep other processes from adding while the context lasts; `add` alone does so for one call.

        Raises:
            BusyError: if another process is adding.
        """
        with claim(self.folder, marker=store.MANIFEST, kind="index"):
            self._is_claimed = True
            try:
                yield
            finally:
                self._is_claimed = False

    def _require_fit(self, names: list[str], vectors: np.ndarray) -> None:
        expected = (len(names), self.manifest.vector_size)
        if vectors.shape != expected:
            raise UsageError(
                f"vectors of shape {vectors.shape} for {len(names)} RNNs", remedy=f"give an array of shape {expected}."
            )
        if not np.isfinite(vectors).all():
            row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
            raise UsageError(f"the vector of {names[row]} has NaN or infinite numbers", remedy="leave it out.")
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise UsageError(f"the name {twice!r} is given twice", remedy="give each RNN a name of its own.")

    def _new(self, names: list[str], vectors: np.ndarray) -> Bool[np.ndarray, " N"]:
        known = {name: row for row, name in enumerate(self.names)}
        rows = np.array([known.get(name, -1) for name in names], dtype=np.int64)
        there = rows >= 0
        moved = np.abs(self.vectors[rows[there]] - vectors[there]).max(axis=1, initial=0) > _SAME
        if moved.any():
            name = names[int(np.flatnonzero(there)[np.flatnonzero(moved)[0]])]
            raise UsageError(
                f"{name} is in {self.folder} already, with another vector",
                remedy="an index only grows: add the RNN under another name, or build a new index.",
            )
        return ~there

    def _reload(self) -> None:
        """Read the manifest on the disk again."""
        self.manifest = store.Manifest.read(self.folder)
        for name in ("table", "vectors", "names", "_search"):
            self.__dict__.pop(name, None)

    # -- what is in it -----------------------------------------------------------------------------

    def _tables(self) -> list[pa.Table]:
        for part in self.manifest.parts:
            if part.file not in self._read:
                self._read[part.file] = store.read_part(self.folder, part, self.manifest.vector_size)
        return [self._read[part.file] for part in self.manifest.parts]

    @functools.cached_property
    def table(self) -> pa.Table:
        """Names, vectors and properties, one row an RNN, in the order in which they were added."""
        if not self.manifest.parts:
            return store.to_table([], np.empty((0, self.manifest.vector_size), dtype=np.float32), {})
        return _concatenated(self._tables())

    @functools.cached_property
    def vectors(self) -> Float32[np.ndarray, "N Z"]:
        """The vectors."""
        return store.vectors_of(self.table, self.manifest.vector_size)

    @functools.cached_property
    def names(self) -> list[str]:
        """The RNNs' names."""
        return self.table.column(store.NAME).to_pylist()

    @property
    def property_names(self) -> list[str]:
        """The columns of properties."""
        return [name for name in self.table.column_names if name not in {store.NAME, store.VECTOR}]

    @functools.cached_property
    def _search(self) -> Search:
        return SEARCHES[self._search_name](self.vectors)

    def __len__(self) -> int:
        return sum(part.num_rnns for part in self.manifest.parts)

    def __repr__(self) -> str:
        return f"Index({str(self.folder)!r}: {len(self)} RNNs, {self.manifest.vector_size} numbers each)"

    # -- asking ------------------------------------------------------------------------------------

    def where(self, *conditions: str | Condition, **equal: Any) -> Bool[np.ndarray, " N"]:
        """Return which rows meet every condition.

        Args:
            *conditions: as on the command line, such as `"performance > 0.9"` (see `rnn2vec._conditions`).
            **equal: properties with the value, or list of values, that they must have.

        Raises:
            UsageError: if a condition cannot be read, a property is unknown, or no RNN has a value that is asked for.
        """
        return matching(self.table.drop_columns([store.VECTOR]), conditions, equal)

    def query(
        self, vectors: Float[np.ndarray, "Q Z"], number: int = 10, *, where: Sequence[str | Condition] = ()
    ) -> list[list[Neighbour]]:
        """Find the nearest RNNs of each vector.

        Args:
            vectors: vectors, such as those of `model.embed`.
            number: number of neighbours of each.
            where: conditions that neighbours must meet.

        Raises:
            UsageError: if the index is empty, the vectors are of another size, or a condition is wrong.
        """
        distances, rows = self.nearest(vectors, number, where=where)
        return [
            [self.neighbour(int(row), float(distance)) for row, distance in zip(*one, strict=True) if row >= 0]
            for one in zip(rows, distances, strict=True)
        ]

    def nearest(
        self, vectors: Float[np.ndarray, "Q Z"], number: int = 10, *, where: Sequence[str | Condition] = ()
    ) -> Found:
        """Return distances and rows of the nearest RNNs of each vector; args and errors are those of `query`."""
        vectors = np.asarray(vectors, dtype=np.float32)
        self.require_queries(vectors)
        if number < 1:
            raise UsageError(f"number={number} neighbours", remedy="give at least 1.")
        return self._search.nearest(vectors, number, self.where(*where) if where else None)

    def outliers(self, *, ordinary: Sequence[str | Condition] = (), seed: int = 0) -> Outliers:
        """Return how unusual each RNN of the index is; see `rnn2vec.index.outliers`.

        Args:
            ordinary: conditions met by RNNs that are known to be ordinary; by default each RNN is judged by all others.
            seed: draws the neighbours that are searched where there are more than 10,000 RNNs.

        Raises:
            UsageError: if a condition is wrong, or fewer than 4 RNNs are ordinary.
        """
        return judge_members(self.vectors, self.where(*ordinary) if ordinary else None, seed=seed)

    def familiarity(self, vector: Float[np.ndarray, " Z"], *, seed: int = 0) -> Outliers:
        """Return how unusual one RNN is among those of the index: a member as `outliers` judges it, any other as new.

        Raises:
            UsageError: if the index has fewer than 4 RNNs.
        """
        familiar = Familiar(self.vectors, seed=seed)
        same = np.flatnonzero(np.abs(self.vectors - vector).max(axis=1) <= _SAME)
        if not len(same):
            return familiar.judge(vector[None])
        members = familiar.members
        return dataclasses.replace(members, distances=members.distances[same[:1]], p_values=members.p_values[same[:1]])

    def duplicates(self, within: float | None = None) -> list[list[str]]:
        """Names of near-duplicates, in groups; see `rnn2vec.index.groups.duplicates`."""
        return [[self.names[row] for row in rows] for rows in groups.duplicates(self.vectors, within)]

    def clusters(self, number: int | None = None, *, seed: int = 0) -> list[Cluster]:
        """Clusters with summaries; see `rnn2vec.index.groups.clusters`."""
        columns = {name: self.table.column(name) for name in self.property_names}
        return groups.clusters(self.vectors, columns, number, seed)

    def require_queries(self, vectors: np.ndarray) -> None:
        """Check that vectors can be compared with those of the index.

        Raises:
            UsageError: if the index is empty, or the vectors are of another size or not finite.
        """
        if not len(self):
            raise UsageError(f"{self.folder} is empty", remedy="add RNNs with `rnn2vec index add`.")
        if vectors.ndim != 2 or vectors.shape[1] != self.manifest.vector_size or not np.isfinite(vectors).all():
            raise UsageError(
                f"vectors of shape {vectors.shape}",
                remedy=f"give finite numbers of shape (Q, {self.manifest.vector_size}), from the index's own model.",
            )

    def neighbour(self, row: int, distance: float = 0.0) -> Neighbour:
        """Return an RNN of the index by its row."""
        values = {name: self.table.column(name)[row].as_py() for name in self.property_names}
        return Neighbour(self.names[row], distance, values)

    def row_of(self, name: str) -> int:
        """Return the row of an RNN by its name.

        Raises:
            UsageError: if it is not in the index.
        """
        row = pc.index(self.table.column(store.NAME), name).as_py()
        if row < 0:
            raise UsageError(f"no RNN {name!r} in {self.folder}", remedy="`rnn2vec index info` shows some names.")
        return row


def _columns(properties: Mapping[str, Any] | pa.Table, count: int) -> dict[str, Any]:
    given: Any = properties
    names: list[str] = given.column_names if isinstance(given, pa.Table) else list(given)
    columns: dict[str, Any] = {name: given[name] for name in names}
    for name, values in columns.items():
        if name in {store.NAME, store.VECTOR}:
            raise UsageError(f"a property named {name!r}", remedy="rename it: the index uses that name itself.")
        if len(values) != count:
            raise UsageError(f"{len(values)} values of {name!r} for {count} RNNs", remedy="give one for each.")
    return columns


def _concatenated(tables: Sequence[pa.Table]) -> pa.Table:
    """Concatenate tables; a property that some of them lack is null there."""
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowTypeError, pa.ArrowInvalid) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"a property has another type than in the index: {reason}", remedy="give it the same type, or another name."
        ) from error
