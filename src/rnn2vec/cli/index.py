"""`rnn2vec index build | add | query | outliers | duplicates | clusters | info`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from rnn2vec._errors import DataError, UsageError
from rnn2vec._text import visible
from rnn2vec.cli.checkpoints import CheckpointVerb, tell
from rnn2vec.cli.members import Duplicates, Outliers
from rnn2vec.cli.model import ModelVerb
from rnn2vec.cli.table import chosen_columns, table
from rnn2vec.cli.terminal import Terminal
from rnn2vec.cli.verb import Verb

if TYPE_CHECKING:
    import pyarrow as pa

    from rnn2vec.index.index import Index, Neighbour

SearchName = Literal["exact", "faiss"]


@dataclass(frozen=True, kw_only=True)
class Add(CheckpointVerb):
    """Embed more RNNs and add them to an index. What is in it already is not read again."""

    index: tyro.conf.Positional[Path]
    """Folder of the index."""
    checkpoints: tyro.conf.Positional[tuple[Path, ...]]
    """Checkpoint files, folders of such, or zoos."""
    properties: Path | None = None
    """Parquet or CSV file with a column `rnn` (the checkpoints' paths as given) and a column for each property."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Add what can be read; an error at the end names the rest."""
        from rnn2vec.index.index import Index

        return add(Index.open(self.index), self, terminal)


@dataclass(frozen=True, kw_only=True)
class Build(ModelVerb):
    """Embed RNNs and put them into a new index. If interrupted, rerun the command to resume."""

    checkpoints: tyro.conf.Positional[tuple[Path, ...]]
    """Checkpoint files, folders of such, or zoos."""
    out: Path
    """Folder of the index."""
    properties: Path | None = None
    """Parquet or CSV file with a column `rnn` (the checkpoints' paths as given) and a column for each property."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Begin the index, or open it, then add."""
        from rnn2vec.embedding.reading import checkpoint_files
        from rnn2vec.index import store
        from rnn2vec.index.index import Index

        if self.model is None and (self.out / store.MANIFEST).is_file():
            return add(Index.open(self.out), self, terminal)
        return add(Index.build(self.out, self.rnn2vec(checkpoint_files(self.checkpoints))), self, terminal)


def add(index: Index, options: Add | Build, terminal: Terminal) -> dict[str, Any]:
    """Embed checkpoints and add them portion by portion."""
    from rnn2vec.embedding.many_files import embed_files
    from rnn2vec.embedding.reading import LeftOut, checkpoint_files

    files = checkpoint_files(options.checkpoints)
    known = None if options.properties is None else _read_properties(options.properties)
    left_out: list[LeftOut] = []
    added = 0
    with index.claimed(), terminal.progress(f"add to {index.folder}") as progress:
        for part in embed_files(index.model, files, known=set(index.names), progress=progress, **options.hints):
            left_out += part.left_out
            if part.names:
                table = part.properties if known is None else _of(known, part.names)
                added += index.add(part.names, part.vectors, table)
    terminal.say(f"{index.folder}: {added:,} RNNs added, {len(index):,} in all")
    if left_out:
        if len(files) == 1:
            raise left_out[0].error
        tell(left_out)
        raise DataError(
            f"{len(left_out)} of {len(files)} checkpoints could not be added (see above); the others were",
            remedy="mend them or leave them out.",
        )
    return {"index": str(index.folder), "added": added, "rnns": len(index)}


def _read_properties(path: Path) -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv

    from rnn2vec._files import LARGEST_TEXT, require_regular
    from rnn2vec._parquet import read_table

    require_regular(path, largest=LARGEST_TEXT)
    try:
        table = csv.read_csv(path, csv.ReadOptions(use_threads=False)) if path.suffix == ".csv" else read_table(path)
    except pa.ArrowInvalid as error:
        raise DataError(f"{path} cannot be read: {error}", remedy="give a .parquet or .csv file.") from error
    if len(set(table.column_names)) < table.num_columns:
        raise UsageError(f"{path} has a column twice", remedy="name each column differently.")
    if "rnn" not in table.column_names:
        raise UsageError(
            f"{path} has no column rnn, but {', '.join(table.column_names)}",
            remedy="name each RNN in a column rnn, by the path that is given on the command line.",
        )
    return table


def _of(known: pa.Table, names: list[str]) -> pa.Table:
    """Return the properties of some RNNs; null for those that are not listed."""
    import pyarrow as pa

    places = {name: row for row, name in enumerate(known.column("rnn").to_pylist())}
    return known.drop_columns(["rnn"]).take(pa.array([places.get(name) for name in names], type=pa.int64()))


@dataclass(frozen=True, kw_only=True)
class Query(CheckpointVerb):
    """The nearest RNNs of a checkpoint, of an RNN of the index, or of a vector."""

    index: tyro.conf.Positional[Path]
    """Folder of the index."""
    checkpoint: tyro.conf.Positional[Path | None] = None
    """Checkpoint file."""
    rnn: str | None = None
    """Instead of a checkpoint: the name of an RNN of the index."""
    vector: Path | None = None
    """Instead of a checkpoint: a NumPy file (.npy) with a vector, or several as rows."""
    number: int = 10
    """Neighbours."""
    where: tuple[str, ...] = ()
    """Conditions on properties, such as "performance > 0.9" "split = validation"."""
    columns: tuple[str, ...] = ()
    """Properties to show; by default all that a neighbour has."""
    search: SearchName = "exact"
    """exact, or faiss for millions (extra `faiss`)."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Embed what was given, search, and show."""
        given = [value for value in (self.checkpoint, self.rnn, self.vector) if value is not None]
        if len(given) != 1:
            raise UsageError(
                f"{len(given)} things to search for", remedy="give one: a checkpoint, --rnn NAME or --vector FILE."
            )

        from rnn2vec.index.index import Index

        index = Index.open(self.index, search=self.search)
        found = index.query(self._vectors(index), self.number, where=self.where)
        for neighbours in found:
            terminal.say(table_of(neighbours, self.columns))
        return {"neighbours": [[dataclasses.asdict(one) for one in neighbours] for neighbours in found]}

    def _vectors(self, index: Index) -> Any:
        if self.checkpoint is not None:
            return index.model.embed(self.checkpoint, **self.hints)
        if self.rnn is not None:
            row = index.row_of(self.rnn)
            return index.vectors[row : row + 1]
        assert self.vector is not None
        return _read_vectors(self.vector)


def _read_vectors(path: Path) -> Any:
    import numpy as np

    from rnn2vec._files import LARGEST_TEXT, require_regular

    require_regular(path, largest=LARGEST_TEXT)
    try:
        vectors = np.load(path, allow_pickle=False)
        return np.atleast_2d(vectors).astype(np.float32)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} is no NumPy file of numbers: {error}", remedy="write one with np.save.") from error


def table_of(neighbours: list[Neighbour], columns: Sequence[str] = ()) -> str:
    """Return neighbours as a table: name, distance, and the chosen properties, or all that any of them has.

    Raises:
        UsageError: a chosen column is not among the properties.
    """
    shown = chosen_columns([one.properties for one in neighbours], columns)
    rows = [[one.rnn, f"{one.distance:.4f}", *(one.properties[name] for name in shown)] for one in neighbours]
    return table(["RNN", "distance", *shown], rows)


@dataclass(frozen=True, kw_only=True)
class Clusters(Verb):
    """Kinds of RNNs, each with its most typical one and what sets it apart."""

    index: tyro.conf.Positional[Path]
    """Folder of the index."""
    number: int | None = None
    """Number of clusters; by default the one from 2 to 12 that separates best."""
    seed: int = 0
    """Seed of the search."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Divide, and describe each cluster."""
        from rnn2vec.index.index import Index

        index = Index.open(self.index)
        found: list[dict[str, Any]] = []
        for number, cluster in enumerate(index.clusters(self.number, seed=self.seed), 1):
            names = [index.names[row] for row in cluster.rows]
            traits = "; ".join(cluster.traits) or "no property sets it apart"
            terminal.say(f"cluster {number}: {len(names)} RNNs, such as {visible(names[0])}\n    {traits}")
            found.append({"rnns": names, "traits": list(cluster.traits)})
        return {"clusters": found}


@dataclass(frozen=True, kw_only=True)
class Info(Verb):
    """Show the content of an index."""

    index: tyro.conf.Positional[Path]
    """Folder of the index."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Show its size, model, properties and some names."""
        from rnn2vec.index.index import Index

        index = Index.open(self.index)
        model = repr(index.model) if index.has_model else "none: vectors from elsewhere"
        terminal.say(
            f"{index!r}\nmodel: {model}\nproperties: {', '.join(map(visible, index.property_names)) or 'none'}"
        )
        terminal.say(f"such as: {', '.join(map(visible, index.names[:5]))}")
        return {"rnns": len(index), "model": model, "properties": index.property_names, "names": index.names[:5]}


@dataclass(frozen=True)
class IndexVerbs:
    """Find RNNs that do the same, or something unusual."""

    verb: (
        Annotated[Build, tyro.conf.subcommand("build")]
        | Annotated[Add, tyro.conf.subcommand("add")]
        | Annotated[Query, tyro.conf.subcommand("query")]
        | Annotated[Outliers, tyro.conf.subcommand("outliers")]
        | Annotated[Duplicates, tyro.conf.subcommand("duplicates")]
        | Annotated[Clusters, tyro.conf.subcommand("clusters")]
        | Annotated[Info, tyro.conf.subcommand("info")]
    )
