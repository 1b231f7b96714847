"""The collection behind the page: an index, RNNs that are read when they are asked for, and dropped files.

Everything is an `Index`: a zoo or a folder of checkpoints is embedded into a temporary one first (`cli.members`). The
collection is read once; caches of RNNs and of dropped files are bounded.
"""

from __future__ import annotations

import functools
import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Int

from rnn2vec._errors import Rnn2VecError, UsageError
from rnn2vec.embedding.reading import checkpoint_files
from rnn2vec.embedding.rnn2vec import Rnn2Vec
from rnn2vec.explorer.jobs import Jobs
from rnn2vec.index import store
from rnn2vec.index.groups import Cluster
from rnn2vec.index.index import Index
from rnn2vec.index.outliers import Familiar, Outliers
from rnn2vec.index.search import ExactSearch
from rnn2vec.inspection.maps import Projection, project
from rnn2vec.inspection.property_prediction import PropertyPredictor
from rnn2vec.inspection.twins import place_in_zoo, read_member
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.rnn.state_dicts import Hints
from rnn2vec.tasks.base import TaskFamily
from rnn2vec.zoo import manifest as zoo_manifest
from rnn2vec.zoo.store import Zoo

MOST_LAID_OUT = 5000
"""RNNs that t-SNE lays out; it takes a minute for as many. The others are placed among their nearest."""
DERIVED = ("cluster", "outlier distance")
"""Columns that are computed, beside the properties."""
_MOST_UPLOADS = 16
_CACHED_RNNS = 256
_PLACED_AMONG = 3


class UnknownRNNError(UsageError):
    """Raised for an RNN that is not in the collection, or a dropped file that has been discarded."""


@dataclass(frozen=True)
class Member:
    """An RNN of the collection, or one from a dropped file."""

    id: str
    """Row in the index as text, or `upload-` and a checksum."""
    name: str
    """Path, or `ZOO#NUMBER`, or the dropped file's name."""
    vector: Float32[np.ndarray, " Z"]
    """Representation."""
    row: int | None
    """Row in the index; None for a dropped file."""


@dataclass(frozen=True)
class _Upload:
    """An RNN from a dropped file."""

    member: Member
    rnn: RNNStack


@dataclass(frozen=True)
class Layout:
    """A map of the collection."""

    projection: Projection
    """The map of the RNNs that were laid out."""
    coordinates: Float32[np.ndarray, "N 2"]
    """Places of all RNNs."""
    num_laid_out: int
    """RNNs that were laid out; the others were placed among their nearest of these."""


class Collection:
    """An index with everything that the page needs of it.

    Args:
        index: vectors, names and properties.
        source: the zoo, index or folder that the user named, which is watched for changes.
        hints: what its checkpoints leave open.
        seed: of maps, clusters and predictors.
    """

    def __init__(self, index: Index, source: Path, *, hints: Hints | None = None, seed: int = 0) -> None:
        if not len(index):
            raise UsageError(f"{source} holds no RNN to show", remedy="add RNNs first, or name another collection.")
        self.index = index
        self.source = source
        self.hints: Hints = hints or {}
        self.seed = seed
        self.table: pa.Table = index.table.drop_columns([store.VECTOR])
        self.jobs, self._maps = Jobs(), Jobs()
        self._state, self._number = _state(source), _count(source)
        self._uploads: OrderedDict[str, _Upload] = OrderedDict()
        self._lock = threading.Lock()  # a zoo's shards are mapped by one thread at a time
        self._open_zoo = functools.lru_cache(maxsize=8)(Zoo.open)
        self._read = functools.lru_cache(maxsize=_CACHED_RNNS)(self._read_member)
        self._maps.start("pca", lambda: self._layout("pca"))
        self.jobs.start("outliers", lambda: Familiar(index.vectors, seed=seed))
        self.jobs.start("clusters", lambda: index.clusters(seed=seed))
        self.jobs.start("predictors", lambda: PropertyPredictor(index, seed=seed))

    def __len__(self) -> int:
        return self.table.num_rows

    # -- what is known of all --------------------------------------------------------------------------

    @functools.cached_property
    def model(self) -> Rnn2Vec | None:
        """The encoder of the vectors; None for an index of vectors alone."""
        return self.index.model if self.index.has_model else None

    @functools.cached_property
    def family(self) -> TaskFamily | None:
        """The task family of the RNNs, if they are of one zoo or of several with the same; None otherwise."""
        zoos = {None if (place := place_in_zoo(name)) is None else place[0] for name in self._zoo_examples()}
        families = [None if zoo is None else self._open_zoo(zoo).family for zoo in zoos]
        return families[0] if all(one == families[0] for one in families) else None

    def _zoo_examples(self) -> list[str]:
        """Return a name for each part before `#`, of a few."""
        examples: dict[str, str] = {}
        for name in self.index.names:
            if len(examples) < 8:
                examples.setdefault(name.rpartition("#")[0], name)
        return list(examples.values())

    def layout(self, method: str, *, wait: float = 0.0) -> Layout:
        """Return a map, which is computed in the background when it is first asked for.

        Raises:
            Pending: it is not done yet.
            UsageError: if there is no such map, or fewer than 2 RNNs.
        """
        if method != "pca":
            self._maps.start(method, lambda: self._layout(method))
        return self._maps.result(method, wait=wait)

    def _layout(self, method: str) -> Layout:
        vectors = self.index.vectors
        chosen = np.arange(len(vectors))
        if method != "pca" and len(vectors) > MOST_LAID_OUT:
            chosen = np.random.default_rng(self.seed).permutation(len(vectors))[:MOST_LAID_OUT]
        projection = project(vectors[chosen], method=method, seed=self.seed)
        if len(chosen) == len(vectors):
            return Layout(projection, projection.coordinates.astype(np.float32), len(vectors))
        places = _among(vectors[chosen], projection.coordinates, vectors)
        places[chosen] = projection.coordinates
        return Layout(projection, places.astype(np.float32), len(chosen))

    def place(self, member: Member, method: str) -> Float32[np.ndarray, " 2"]:
        """Return the place of an RNN on a map that is there; one of a dropped file lies among its nearest on t-SNE."""
        layout = self.layout(method)
        if member.row is not None:
            return layout.coordinates[member.row]
        placed = layout.projection.place(member.vector[None])
        if placed is None:
            placed = _among(self.index.vectors, layout.coordinates, member.vector[None])
        return placed[0].astype(np.float32)

    def familiar(self) -> Familiar:
        """Return how unusual RNNs are.

        Raises:
            Pending: it is not computed yet.
            UsageError: if there are fewer than 4 RNNs.
        """
        return self.jobs.result("outliers")

    @functools.cached_property
    def members(self) -> Outliers:
        """All RNNs, judged by each other; errors as for `familiar`."""
        return self.familiar().members

    def clusters(self) -> list[Cluster]:
        """Return clusters of RNNs; errors as for `familiar`."""
        return self.jobs.result("clusters")

    def predictors(self) -> PropertyPredictor:
        """Return predictors of properties; errors as for `familiar`."""
        return self.jobs.result("predictors")

    def derived(self, name: str) -> Float32[np.ndarray, " N"] | Int[np.ndarray, " N"]:
        """Return a column of `DERIVED`; errors as for `familiar`."""
        if name == "outlier distance":
            return self.familiar().distances.astype(np.float32)
        numbers = np.zeros(len(self), dtype=np.int32)
        for number, cluster in enumerate(self.clusters(), 1):
            numbers[cluster.rows] = number
        return numbers

    def conditioned(self) -> pa.Table:
        """Return the table that conditions are about: names, properties, and derived columns that are computed."""
        table = self.table
        for name, job in zip(DERIVED, ("clusters", "outliers"), strict=True):
            if name not in table.column_names and self.jobs.is_done(job):
                table = table.append_column(name, pa.array(self.derived(name)))
        return table

    # -- single RNNs -----------------------------------------------------------------------------------

    def member(self, given: str) -> Member:
        """Return an RNN by its id.

        Raises:
            UnknownRNNError: if there is none of that id.
        """
        if (upload := self._uploads.get(given)) is not None:
            return upload.member
        if given.isascii() and given.isdigit() and len(given) < 10 and int(given) < len(self):
            row = int(given)
            return Member(str(row), self.index.names[row], self.index.vectors[row], row)
        remedy = "drop the file again." if given.startswith("upload-") else f"give a row from 0 to {len(self) - 1}."
        raise UnknownRNNError(f"no RNN {given[:80]!r} here", remedy=remedy)

    def rnn(self, member: Member) -> RNNStack:
        """Return the weights of an RNN.

        Raises:
            UsageError: if its file is not there any more, or is no checkpoint.
            DataError: if its file is damaged.
        """
        if member.row is None:
            if (upload := self._uploads.get(member.id)) is None:
                raise UnknownRNNError(f"{member.name} is not kept any more", remedy="drop the file again.")
            return upload.rnn
        return self._read(member.name)

    def _read_member(self, name: str) -> RNNStack:
        with self._lock:
            return read_member(name, open_zoo=self._open_zoo, **self.hints)

    def require_model(self) -> Rnn2Vec:
        """Return the encoder.

        Raises:
            UsageError: if the index was made from vectors alone.
        """
        return self.model or self.index.model

    def add_upload(self, name: str, content: bytes, rnn: RNNStack) -> Member:
        """Embed an RNN from a dropped file and keep it until 16 others have come.

        Raises:
            UsageError: if the encoder does not read such RNNs.
            DataError: if its representation is not finite.
        """
        model = self.require_model()
        model.encoder.check(rnn)
        vector = model.embed(rnn)[0]
        member = Member(f"upload-{hashlib.sha256(content).hexdigest()[:16]}", name, vector, None)
        with self._lock:
            self._uploads[member.id] = _Upload(member, rnn)
            while len(self._uploads) > _MOST_UPLOADS:
                self._uploads.popitem(last=False)
        return member

    # -- the files behind it ---------------------------------------------------------------------------

    def change(self) -> str | None:
        """Return what has happened to the collection's files since it was opened, in words; None for nothing."""
        now = _state(self.source)
        if now == self._state:
            return None
        if now is None:
            return f"{self.source} is not there any more. The map still shows it as it was; RNNs cannot be read."
        try:
            number = _count(self.source)
        except Rnn2VecError as error:
            return f"{error.problem}. The map still shows the collection as it was."
        grown = number - self._number
        what = f"has grown by {grown:,} RNNs" if grown > 0 else "has changed"
        return f"{self.source} {what} since it was opened. Restart `rnn2vec explore` to see it as it is now."


_State = tuple[tuple[str, int, int], ...]
"""Name, size and time of change of the files that say what a collection holds."""


def _state(source: Path) -> _State | None:
    """Return the state of the manifest of a zoo or an index, or of the checkpoints in a folder."""
    try:
        if not source.exists():
            return None
        return tuple((str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in _files(source))
    except OSError:
        return None


def _files(source: Path) -> list[Path]:
    manifests = [source / name for name in (store.MANIFEST, zoo_manifest.MANIFEST) if (source / name).is_file()]
    return manifests or list(checkpoint_files([source]))


def _count(source: Path) -> int:
    """Return the number of RNNs that a manifest lists, or of files."""
    if (source / store.MANIFEST).is_file():
        return sum(part.num_rnns for part in store.Manifest.read(source).parts)
    if (source / zoo_manifest.MANIFEST).is_file():
        return sum(shard.num_rnns for shard in zoo_manifest.Manifest.read(source).shards)
    return len(_files(source))


def _among(known: Float32[np.ndarray, "N Z"], places: np.ndarray, vectors: Float32[np.ndarray, "Q Z"]) -> np.ndarray:
    """Return places for vectors: the means of those of the three nearest known vectors, nearer ones counting more."""
    distances, rows = ExactSearch(known).nearest(vectors, min(_PLACED_AMONG, len(known)))
    weights = 1 / (distances + 1e-9)
    return (weights[..., None] * places[rows]).sum(axis=1) / weights.sum(axis=1, keepdims=True)
