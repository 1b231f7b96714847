"""Views of the whole collection and of one RNN: functions of the collection and a query."""

from __future__ import annotations

import math
from pathlib import PurePath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from rnn2vec._conditions import matching
from rnn2vec._errors import Rnn2VecError, UsageError, unknown_name
from rnn2vec._text import visible
from rnn2vec.embedding.many_files import as_csv, as_parquet, vector_columns
from rnn2vec.embedding.untrained import probes_for
from rnn2vec.encoders.probing import ProbingEncoder
from rnn2vec.encoders.random_probing import RandomProbing
from rnn2vec.explorer.collection import DERIVED, Collection, Member
from rnn2vec.explorer.jobs import Pending
from rnn2vec.explorer.packing import packed
from rnn2vec.explorer.query import Query
from rnn2vec.index import store
from rnn2vec.index.groups import typical_distance
from rnn2vec.inspection import twins
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.tasks.tiled_mnist import TiledMnist

pc: Any = pyarrow.compute

EXPORTS = {"csv": as_csv, "parquet": as_parquet}
"""Ways to write a selection by name."""
_MOST_CATEGORIES = 11
_MOST_TABLE_ROWS = 200
_NEIGHBOURS = 6
_SHOWN_OF_NEIGHBOUR = 4
_NEAR = 0.05
_FIRST_VIEW_SECONDS = 60.0


# -- the collection --------------------------------------------------------------------------------


def describe(collection: Collection, _: Query) -> dict[str, Any]:
    """Return what the page needs first: sizes, columns, the model, and what can be asked."""
    model = collection.model
    interface = None if model is None else model.encoder.interface
    table = collection.table
    names = [name for name in table.column_names if name != store.NAME]
    return {
        "name": visible(collection.source.name or str(collection.source)),
        "rnns": len(collection),
        "columns": [{"name": name, "is_constant": pc.count_distinct(table.column(name)).as_py() < 2} for name in names],
        "derived": [name for name in DERIVED if name not in names],
        "model": describe_model(collection),
        "encoder": "vectors" if model is None else model.encoder.name,
        "asks": model is not None and isinstance(model.encoder, ProbingEncoder),
        "interface": None if interface is None else interface.to_dict(),
        "input_size": None if model is None else model.spec.input_size,
        "begins": interface is not None and interface.first_input is not None,
        "family": None if collection.family is None else collection.family.name,
        "tile_size": _tile_size(collection),
        "has_runs": {"run", "step"} <= set(names),
    }


def describe_model(collection: Collection) -> str:
    """Return in a sentence how RNNs are compared."""
    model = collection.model
    if model is None:
        return "Vectors from elsewhere: there is no encoder, so RNNs cannot be asked or added."
    if isinstance(model.encoder, RandomProbing):
        return (
            "No trained model: RNNs are compared by their answers to fixed random inputs (random-probing). "
            "`rnn2vec pretrain` trains a model; give it with --model."
        )
    return f"Representations are {model.encoder.representation_size} numbers by the encoder {model.encoder.name}."


def _tile_size(collection: Collection) -> int | None:
    return collection.family.tile_size if isinstance(collection.family, TiledMnist) else None


def change(collection: Collection, _: Query) -> dict[str, Any]:
    """Return what has happened to the collection's files."""
    return {"message": collection.change()}


def layout(collection: Collection, query: Query) -> bytes:
    """Return the coordinates of all RNNs on a map."""
    method = query.text("method", "pca")
    found = collection.layout(method, wait=_FIRST_VIEW_SECONDS if method == "pca" else 0.0)
    values = {"method": method, "explained": found.projection.explained, "laid_out": found.num_laid_out}
    return packed(values, {"x": found.coordinates[:, 0], "y": found.coordinates[:, 1]})


def column(collection: Collection, query: Query) -> bytes:
    """Return a column for colours: numbers, or the numbers of categories with the names of the most frequent ones."""
    name = query.text("name")
    if name in collection.table.column_names:
        values = collection.table.column(name)
        if _kind(values) == "number":
            numbers = values.cast(pa.float32()).fill_null(math.nan)
            return packed({"name": name, "kind": "number"}, {"values": numbers.to_numpy()})
        return _categories(name, values)
    if name in DERIVED:
        derived = collection.derived(name)
        if derived.dtype == np.float32:
            return packed({"name": name, "kind": "number"}, {"values": derived})
        return _categories(name, pa.chunked_array([pa.array(derived)]), _traits(collection))
    raise unknown_name("column", name, [*collection.table.column_names, *DERIVED])


def _kind(values: pa.ChunkedArray) -> str:
    is_number = pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
    return "number" if is_number else "category"


def _traits(collection: Collection) -> dict[str, str]:
    return {str(number): "; ".join(one.traits) for number, one in enumerate(collection.clusters(), 1)}


def _categories(name: str, values: pa.ChunkedArray, notes: dict[str, str] | None = None) -> bytes:
    """Return codes: 0 for the most frequent value and so on, the last code for all that are not named."""
    texts = pc.fill_null(pc.cast(values, pa.string()), "unknown")
    counted = [(one["values"], one["counts"]) for one in pc.value_counts(texts).to_pylist()]
    named = sorted(counted, key=lambda one: (-one[1], one[0]))
    others: list[tuple[str, int]] = []
    if len(named) > _MOST_CATEGORIES + 1:
        named, rest = named[:_MOST_CATEGORIES], named[_MOST_CATEGORIES:]
        others = [(f"{len(rest):,} others", sum(count for _, count in rest))]
    codes = pc.fill_null(pc.index_in(texts, value_set=pa.array([text for text, _ in named], pa.string())), len(named))
    shown = [
        {"name": visible(text), "count": count, "note": (notes or {}).get(text, "")}
        for text, count in [*named, *others]
    ]
    header = {"name": name, "kind": "category", "categories": shown, "has_others": bool(others)}
    return packed(header, {"values": codes.to_numpy().astype(np.uint16)})


def matches(collection: Collection, query: Query) -> bytes:
    """Return which RNNs meet every condition."""
    mask = matching(collection.conditioned(), query.all("where"))
    return packed({"count": int(mask.sum())}, {"mask": mask.astype(np.uint8)})


def runs(collection: Collection, _: Query) -> bytes:
    """Return the run of each RNN as a number, and its step: what trajectories are drawn from."""
    table = collection.table
    if not {"run", "step"} <= set(table.column_names):
        raise UsageError("the collection has no columns run and step", remedy="trajectories need both.")
    steps = table.column("step").cast(pa.float32()).fill_null(math.nan).to_numpy()
    return packed({}, {"run": _run_numbers(collection), "step": steps})


def _run_numbers(collection: Collection) -> np.ndarray:
    """Return a number for each RNN that those of one run of one zoo share."""
    zoos = pc.utf8_slice_codeunits(collection.table.column(store.NAME), 0, 0)
    if "#" in collection.index.names[0]:
        zoos = pa.chunked_array([[name.rpartition("#")[0] for name in collection.index.names]])
    names = pc.binary_join_element_wise(zoos, pc.cast(collection.table.column("run"), pa.string()), "#")
    encoded = pc.fill_null(pc.dictionary_encode(names.combine_chunks()).indices, -1)
    return encoded.to_numpy(zero_copy_only=False).astype(np.int32)


def rows(collection: Collection, query: Query) -> dict[str, Any]:
    """Return some rows of the table, for the table view and for what the pointer is over."""
    chosen = query.integers("rows", below=len(collection), most=_MOST_TABLE_ROWS)
    table = collection.table.take(pa.array(chosen, pa.int64()))
    names = [name for name in table.column_names if name != store.NAME]
    names.sort(key=lambda name: name != "task")
    columns = [table.column(name).to_pylist() for name in names]
    return {
        "columns": names,
        "rows": [
            {"id": str(row), "name": short(collection.index.names[row]), "values": [plain(one[at]) for one in columns]}
            for at, row in enumerate(chosen)
        ],
    }


def export(collection: Collection, query: Query) -> bytes:
    """Return chosen RNNs as a file: names, properties and vectors."""
    kind = query.text("format", "csv")
    if kind not in EXPORTS:
        raise unknown_name("format", kind, EXPORTS)
    chosen = query.rows(len(collection))
    table = vector_columns([collection.index.names[row] for row in chosen], collection.index.vectors[chosen])
    for name in collection.table.column_names[::-1]:
        if name != store.NAME and name not in table.column_names:
            table = table.add_column(1, name, collection.table.column(name).take(pa.array(chosen)))
    return EXPORTS[kind](table)


# -- one RNN ---------------------------------------------------------------------------------------


def card(collection: Collection, query: Query) -> dict[str, Any]:
    """Return what is known of one RNN without asking it: properties, neighbours, run, and verdicts on twins."""
    member = collection.member(query.text("id"))
    shown: dict[str, Any] = {
        "id": member.id,
        "name": short(member.name),
        "path": visible(member.name),
        "properties": _properties(collection, member.row),
        "place": _place(collection, member, query),
        "neighbours": _neighbours(collection, member),
        "run": run_of(collection, member),
        "unusual": _unusual(collection, member),
    }
    try:
        rnn = collection.rnn(member)
    except (Rnn2VecError, OSError) as error:
        return {**shown, "architecture": None, "problem": problem_of(error)}
    _judge(collection, rnn, shown["neighbours"])
    return {**shown, "architecture": f"{rnn.spec}, {rnn.spec.num_parameters:,} parameters", "problem": None}


def _place(collection: Collection, member: Member, query: Query) -> list[float] | None:
    """Return the place of a dropped file on the map that is shown; None for an RNN whose place the page has."""
    return None if member.row is not None else collection.place(member, query.text("method", "pca")).tolist()


def problem_of(error: Rnn2VecError | OSError) -> str:
    """Return an error for the page, in a line."""
    if isinstance(error, Rnn2VecError):
        return f"{error.problem}: {error.remedy}"
    return visible(f"{error.filename or 'a file'} cannot be read: {error.strerror}")


def _properties(collection: Collection, row: int | None) -> list[dict[str, Any]]:
    if row is None:
        return []
    values = collection.index.neighbour(row).properties
    return [{"name": visible(name), "value": plain(value)} for name, value in values.items()]


def _neighbours(collection: Collection, member: Member) -> list[dict[str, Any]]:
    distances, found = collection.index.nearest(member.vector[None], _NEIGHBOURS + 1)
    pairs = [(int(row), float(one)) for row, one in zip(found[0], distances[0], strict=True) if row != member.row]
    shown: list[dict[str, Any]] = []
    for row, distance in pairs[:_NEIGHBOURS]:
        known = collection.index.neighbour(row).properties
        properties = [{"name": visible(name), "value": plain(value)} for name, value in known.items()]
        name = short(collection.index.names[row])
        shown.append({"id": str(row), "name": name, "distance": distance, "properties": properties, "verdict": None})
    return shown


def _judge(collection: Collection, rnn: RNNStack, neighbours: list[dict[str, Any]]) -> None:
    """Add verdicts to the nearest RNN and to the others that are as near as copies are."""
    model = collection.model
    if model is None:
        return
    near = _NEAR * typical_distance(collection.index.vectors, seed=collection.seed)
    inputs = probes_for(model.encoder, rnn.spec)
    for number, one in enumerate(neighbours[:3]):
        if number and one["distance"] > near:
            return
        try:
            other = collection.rnn(collection.member(one["id"]))
            verdict = twins.compare(rnn, other, inputs, model.encoder.interface)
        except (Rnn2VecError, OSError) as error:
            one["verdict"] = {"kind": "unknown", "text": problem_of(error)}
            continue
        one["verdict"] = {"kind": verdict.kind, "text": verdict.describe()}


def run_of(collection: Collection, member: Member) -> list[dict[str, Any]]:
    """Return ids and steps of the snapshots of an RNN's run, in the order of training; empty where runs are unknown."""
    table = collection.table
    if member.row is None or not {"run", "step"} <= set(table.column_names):
        return []
    run = table.column("run")[member.row].as_py()
    zoo = member.name.rpartition("#")[0]
    rows = np.flatnonzero(pc.fill_null(pc.equal(table.column("run"), run), False).to_numpy(zero_copy_only=False))
    snapshots = [
        {"id": str(row), "step": plain(table.column("step")[int(row)].as_py())}
        for row in rows
        if collection.index.names[row].rpartition("#")[0] == zoo
    ]
    return sorted(snapshots, key=lambda one: one["step"] or 0)


def _unusual(collection: Collection, member: Member) -> dict[str, Any] | None:
    """Return how unusual an RNN is; None while it is computed, or among too few RNNs."""
    try:
        judged = collection.members if member.row is not None else collection.familiar().judge(member.vector[None])
    except (Pending, UsageError):
        return None
    at = member.row or 0
    distance, p = float(judged.distances[at]), float(judged.p_values[at])
    return {"distance": distance, "typical": judged.typical, "p": p}


def predictions(collection: Collection, query: Query) -> dict[str, Any]:
    """Return the properties of one RNN as they are predicted from its representation.

    Raises:
        Pending: the predictors are not fitted yet.
    """
    member = collection.member(query.text("id"))
    predicted = collection.predictors().predict(member.vector)
    return {"predictions": [{**vars(one), "value": plain(one.value)} for one in predicted]}


# -- words -----------------------------------------------------------------------------------------


def short(name: str) -> str:
    """Return the last part of a path, as text to show."""
    return visible(PurePath(name).name or name)


def plain(value: Any) -> Any:
    """Return a property as a JSON value that is text, a finite number, a truth value or null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int) else visible(str(value))
