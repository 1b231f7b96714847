"""Embed thousands of checkpoint files in portions, so that memory stays flat and a kill loses only a few portions.

Portions are read one after the other in one thread while others embed earlier ones, each on one core: ten thousand
small RNNs take as long to read as to embed. Each is then written as a Parquet part beside the output; rerunning the
call resumes from these parts. A plan states the files, the model and the hints that the parts belong to: where it
differs, they are dropped. A file that cannot be read is reported with the reason, and the others are embedded.

An index by path and time would save more of the work when single files change, but ten thousand small RNNs are read
and embedded in less than a minute.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import shutil
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from jaxtyping import Float32
from pyarrow import csv

from rnn2vec._errors import DataError, Rnn2VecError
from rnn2vec._files import (
    canonical_json,
    parse_json,
    read_bytes,
    read_sealed,
    sha256_of,
    write_atomically,
    write_sealed,
)
from rnn2vec._lock import claim
from rnn2vec._parquet import LARGEST_TABLE, read_table
from rnn2vec._progress import Progress, silent
from rnn2vec._provenance import provenance
from rnn2vec.embedding.reading import LeftOut, Opened, Portion, portions, read
from rnn2vec.embedding.rnn2vec import Rnn2Vec
from rnn2vec.execution.ahead import in_order
from rnn2vec.execution.cores import torch_threads
from rnn2vec.rnn.collection import RNNCollection
from rnn2vec.rnn.state_dicts import Hints

PLAN = "plan.json"
_MOST_WORKERS = 8  # reading keeps no more of them busy


@dataclass(frozen=True)
class Embedded:
    """Result of embedding some files."""

    names: list[str]
    """RNNs that could be embedded, in order: their paths, or `PATH#NUMBER` in a zoo."""
    vectors: Float32[np.ndarray, "N Z"]
    """A row for each."""
    properties: pa.Table | None = None
    """Properties that a zoo stores, a row for each."""
    left_out: list[LeftOut] = field(default_factory=list[LeftOut])
    """Files that could not be embedded, with reasons."""
    assumed: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """Assumptions about what files leave open, with the names of the RNNs."""


def embed_files(
    rnn2vec: Rnn2Vec,
    files: Sequence[Path],
    *,
    known: Container[str] = (),
    progress: Progress = silent,
    **hints: Unpack[Hints],
) -> Iterator[Embedded]:
    """Embed files portion by portion, on as many cores as torch uses (at most 8).

    Args:
        rnn2vec: the encoder.
        files: checkpoints and zoos.
        known: names of RNNs that are not wanted again.
        progress: callback that receives the number of files done.
        **hints: what the files leave open.

    Yields:
        The result of each portion.
    """
    yield from _embed_all(rnn2vec, portions(files, known=known), hints, progress, None)


def embed_files_to(
    out: Path, rnn2vec: Rnn2Vec, files: Sequence[Path], *, progress: Progress = silent, **hints: Unpack[Hints]
) -> Embedded:
    """Embed files into a Parquet file, or resume an interrupted call: a row for each RNN, its name and its vector.

    Args:
        out: the Parquet file; while it is not finished, parts lie in a folder beside it.
        rnn2vec: the encoder.
        files: checkpoints and zoos.
        progress: callback that receives the number of files done.
        **hints: what the files leave open.

    Returns:
        The result; `out` is written unless all were left out.

    Raises:
        UsageError: if the folder of the parts holds other things.
        BusyError: another process embeds into the same file.
        StorageError: if the disk refused a write; the parts that are there are kept.
    """
    folder = out.with_name(f"{out.name}.parts")
    with claim(folder, marker=PLAN, kind="folder of parts of an embedding"):
        _plan(folder, {"files": _stamps(files), "model": _digest(rnn2vec), "hints": _plain(hints)})
        whole = joined(_embed_all(rnn2vec, portions(files), hints, progress, folder))
        if whole.names:
            table = vector_columns(whole.names, whole.vectors)
            write_atomically(out, as_csv(table) if out.suffix == ".csv" else as_parquet(table))
        shutil.rmtree(folder)
    return whole


def _embed_all(
    rnn2vec: Rnn2Vec, planned: Sequence[Portion], hints: Hints, progress: Progress, folder: Path | None
) -> Iterator[Embedded]:
    """Embed each portion; with a folder, its part is kept there, or taken from there."""
    places = [folder and folder / f"{number:05d}" for number in range(len(planned))]

    def embedded(item: tuple[Path | None, Opened | Embedded]) -> Embedded:
        place, opened = item
        if isinstance(opened, Embedded):
            return opened
        part = _embed(rnn2vec, opened)
        if place is not None:
            _write_part(place, part)
        return part

    opened = (
        (place, (place and _read_part(place)) or read(portion, rnn2vec.encoder.check, **hints))
        for place, portion in zip(places, planned, strict=True)
    )
    done, total = 0, sum(map(len, planned))
    progress(done, total, "reading")
    threads = torch.get_num_threads()
    workers = max(1, min(threads, len(planned), _MOST_WORKERS))
    with torch_threads(threads // workers):
        for portion, part in zip(planned, in_order(embedded, opened, workers=workers), strict=True):
            done += len(portion)
            progress(done, total, portion.paths[-1].name)
            yield part


def _embed(rnn2vec: Rnn2Vec, opened: Opened) -> Embedded:
    """Embed what was opened; RNNs whose vector is not finite are left out, and the others of the portion stay."""
    stack_of = np.repeat(np.arange(len(opened.stacks)), [len(stack) for stack in opened.stacks])
    first = np.concatenate([np.arange(len(stack)) for stack in opened.stacks] or [np.empty(0, int)])
    failed: dict[int, LeftOut] = {}

    def some(rows: np.ndarray) -> list[np.ndarray]:
        is_whole = len(rows) == len(stack_of)
        stacks = opened.stacks if is_whole else [opened.stacks[stack_of[row]].select([int(first[row])]) for row in rows]
        try:
            return [rnn2vec.embed(RNNCollection(stacks))]
        except DataError as error:
            if len(rows) == 1:
                failed[int(rows[0])] = LeftOut.of(Path(opened.names[rows[0]]), error)
                return []
            middle = len(rows) // 2
            return [*some(rows[:middle]), *some(rows[middle:])]

    vectors = some(np.arange(len(stack_of))) if len(stack_of) else []
    kept = [row for row in range(len(opened.names)) if row not in failed]
    return Embedded(
        [opened.names[row] for row in kept],
        np.concatenate([*vectors, np.empty((0, rnn2vec.encoder.representation_size), np.float32)]),
        opened.properties and opened.properties.take(kept),
        [*opened.left_out, *failed.values()],
        opened.assumed,
    )


# -- the plan --------------------------------------------------------------------------------------


def _plan(folder: Path, plan: dict[str, Any]) -> None:
    """Empty the claimed folder of the parts, unless they belong to this plan."""
    digest = {"format_version": 2, "plan": sha256_of(canonical_json(plan).encode())}
    place = folder / PLAN
    with contextlib.suppress(Rnn2VecError):
        if read_sealed(place, newest=2) == digest:
            return
    for part in folder.glob("*.parquet"):
        part.unlink()
    write_sealed(place, digest)


def _stamps(files: Sequence[Path]) -> list[list[Any]]:
    """Return path, size and time of each file: another list means other contents."""
    stats = [(path, path.stat() if path.exists() else None) for path in files]
    return [[str(path.absolute()), stat and stat.st_size, stat and stat.st_mtime_ns] for path, stat in stats]


def _digest(rnn2vec: Rnn2Vec) -> str:
    """Return a checksum of the encoder, of the code that runs it, and of its interface."""
    checksum = hashlib.sha256(f"{provenance()} {rnn2vec!r} {rnn2vec.encoder.interface}".encode())
    for name, tensor in sorted(rnn2vec.encoder.state_dict().items()):
        checksum.update(name.encode() + tensor.cpu().float().contiguous().numpy().tobytes())
    return checksum.hexdigest()


def _plain(hints: Hints) -> dict[str, Any]:
    """Return hints as JSON-ready values, samples by their checksums."""
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in hints.items()}
    if (check := hints.get("check")) is not None:
        plain["check"] = [sha256_of(np.asarray(one).tobytes()) for one in check]
    return plain


# -- parts -----------------------------------------------------------------------------------------


def vector_columns(names: Sequence[str], vectors: Float32[np.ndarray, "N Z"]) -> pa.Table:
    """Return a table with a column `rnn` of names and the columns `z0`, `z1`, ... of vectors."""
    return pa.table({"rnn": pa.array(names, pa.string()), **{f"z{at}": column for at, column in enumerate(vectors.T)}})


def as_parquet(table: pa.Table) -> bytes:
    """Return a table as the content of a Parquet file."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, write_page_checksum=True)
    return buffer.getvalue()


def as_csv(table: pa.Table) -> bytes:
    """Return a table as the content of a CSV file."""
    buffer = io.BytesIO()
    csv.write_csv(table, buffer)
    return buffer.getvalue()


def _write_part(place: Path, part: Embedded) -> None:
    """Write one Parquet file, named by number and checksum: vectors; as metadata, files left out and assumptions."""
    left_out = [vars(one) | {"path": str(one.path)} for one in part.left_out]
    table = vector_columns(part.names, part.vectors).replace_schema_metadata(
        {"left_out": canonical_json(left_out), "assumed": canonical_json(part.assumed)}
    )
    data = as_parquet(table)
    write_atomically(place.with_name(f"{place.name}.{sha256_of(data)}.parquet"), data)


def _read_part(place: Path) -> Embedded | None:
    """Return the part, or None where it is missing or damaged and must be made."""
    for path in place.parent.glob(f"{place.name}.*.parquet"):
        with contextlib.suppress(Rnn2VecError):
            data = read_bytes(path, largest=LARGEST_TABLE)
            if path.name == f"{place.name}.{sha256_of(data)}.parquet":
                return _part_of(read_table(data))
        path.unlink(missing_ok=True)
    return None


def _part_of(table: pa.Table) -> Embedded:
    left_out, assumed = (
        parse_json(table.schema.metadata[key], where="the part's metadata") for key in (b"left_out", b"assumed")
    )
    vectors = np.stack([table.column(name).to_numpy() for name in table.column_names[1:]], axis=1)
    failures = [LeftOut(**one | {"path": Path(one["path"])}) for one in left_out]
    return Embedded(table.column("rnn").to_pylist(), vectors, left_out=failures, assumed=assumed)


def joined(parts: Iterable[Embedded]) -> Embedded:
    """Return several parts as one, without properties; at least one."""
    parts = list(parts)
    assumed: dict[str, list[str]] = {}
    for part in parts:
        for one, names in part.assumed.items():
            assumed.setdefault(one, []).extend(names)
    return Embedded(
        [name for part in parts for name in part.names],
        np.concatenate([part.vectors for part in parts]),
        left_out=[one for part in parts for one in part.left_out],
        assumed=assumed,
    )
