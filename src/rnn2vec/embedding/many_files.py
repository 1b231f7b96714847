"""Embed thousands of checkpoint files in portions, so that memory stays flat and a kill loses only a few of them.

One thread reads portions while others embed earlier ones, each on one core: ten thousand small RNNs take as long to
read as to embed. Each portion is written as a Parquet part beside the output; a rerun of the call takes the parts that
are there and continues. A plan lists the files, the model and the hints that the parts belong to: where it differs,
they are dropped. A file that cannot be read is recorded with the reason, and the others continue.

An index by path and time would save more of the work when single files change, but ten thousand small RNNs are read
and embedded in less than a minute.
"""

from __future__ import annotations

import hashlib
import io
import json
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

from rnn2vec._errors import DataError
from rnn2vec._files import canonical_json, claim_folder, read_json, sha256_of, write_atomically, write_json
from rnn2vec._parquet import read_table
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
    """Results of embedding some files."""

    names: list[str]
    """RNNs that could be embedded, in order: their paths, or `PATH#NUMBER` in a zoo."""
    vectors: Float32[np.ndarray, "N Z"]
    """A row for each."""
    properties: pa.Table | None = None
    """Properties that a zoo knows of them, a row for each."""
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
        Results of each portion.
    """
    yield from _embed_all(rnn2vec, portions(files, known=known), hints, progress, None)


def embed_files_to(
    out: Path, rnn2vec: Rnn2Vec, files: Sequence[Path], *, progress: Progress = silent, **hints: Unpack[Hints]
) -> Embedded:
    """Embed files into a Parquet file, or resume: a row for each RNN, its name and its vector.

    Args:
        out: the Parquet file; while it is not finished, parts lie in a folder beside it.
        rnn2vec: the encoder.
        files: checkpoints and zoos.
        progress: callback that receives the number of files done.
        **hints: what the files leave open.

    Returns:
        Results; `out` is written unless all files were left out.

    Raises:
        UsageError: the folder of the parts holds other things.
        StorageError: the disk refused a write; the parts that are there are kept.
    """
    folder = out.with_name(f"{out.name}.parts")
    _claim(folder, {"files": _stamps(files), "model": _digest(rnn2vec), "hints": _plain(hints)})
    whole = joined(_embed_all(rnn2vec, portions(files), hints, progress, folder))
    if whole.names:
        write_atomically(out, _parquet(_columns(whole.names, whole.vectors)))
    shutil.rmtree(folder)
    return whole


def _embed_all(
    rnn2vec: Rnn2Vec, planned: Sequence[Portion], hints: Hints, progress: Progress, folder: Path | None
) -> Iterator[Embedded]:
    """Yield the results of each portion; with a folder, parts are kept there, or taken from there."""
    places = [folder and folder / f"{number:05d}.parquet" for number in range(len(planned))]

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
    size = rnn2vec.encoder.representation_size
    vectors = rnn2vec.embed(RNNCollection(opened.stacks)) if opened.stacks else np.empty((0, size), np.float32)
    fine = [bool(np.isfinite(vector).all()) for vector in vectors]
    if all(fine):
        return Embedded(opened.names, vectors, opened.properties, opened.left_out, opened.assumed)
    overflown = [_overflow(name) for name, one in zip(opened.names, fine, strict=True) if not one]
    names = [name for name, one in zip(opened.names, fine, strict=True) if one]
    properties = None if opened.properties is None else opened.properties.filter(pa.array(fine))
    return Embedded(names, vectors[fine], properties, [*opened.left_out, *overflown], opened.assumed)


def _overflow(name: str) -> LeftOut:
    """Return the record of an RNN with finite weights whose answers are not."""
    return LeftOut(
        Path(name),
        f"{name}: its answers overflow, although its weights are finite",
        "leave it out or take an earlier checkpoint: it has diverged.",
        is_usage=False,
    )


# -- the plan --------------------------------------------------------------------------------------


def _claim(folder: Path, plan: dict[str, Any]) -> None:
    """Prepare the folder of the parts, empty unless its parts belong to this plan."""
    claim_folder(folder, marker=PLAN, kind="folder of parts of an embedding")
    digest = {"plan": sha256_of(canonical_json(plan).encode())}
    place = folder / PLAN
    if place.exists() and _plan_of(place) == digest:
        return
    for part in folder.glob("*.parquet"):
        part.unlink()
    write_json(place, digest)


def _plan_of(place: Path) -> Any:
    try:
        return read_json(place)
    except DataError:
        return None


def _stamps(files: Sequence[Path]) -> list[list[Any]]:
    """Return paths, sizes and times of files, which show whether they have changed."""
    stats = [(path, path.stat() if path.exists() else None) for path in files]
    return [[str(path.absolute()), stat and stat.st_size, stat and stat.st_mtime_ns] for path, stat in stats]


def _digest(rnn2vec: Rnn2Vec) -> str:
    """Return a checksum of the encoder, of the code that runs it, and of its use."""
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


def _columns(names: Sequence[str], vectors: np.ndarray) -> pa.Table:
    return pa.table({"rnn": pa.array(names, pa.string()), **{f"z{at}": column for at, column in enumerate(vectors.T)}})


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def _write_part(place: Path, part: Embedded) -> None:
    """Write one Parquet file: the vectors, and as its metadata the files left out and the assumptions."""
    left_out = [vars(one) | {"path": str(one.path)} for one in part.left_out]
    metadata = {"left_out": canonical_json(left_out), "assumed": canonical_json(part.assumed)}
    table = _columns(part.names, part.vectors).replace_schema_metadata(metadata)
    write_atomically(place, _parquet(table))


def _read_part(place: Path) -> Embedded | None:
    """Return the part, or None where it is missing or damaged and must be made."""
    try:
        table = read_table(place)
        left_out, assumed = (json.loads(table.schema.metadata[key]) for key in (b"left_out", b"assumed"))
    except (pa.ArrowInvalid, OSError, KeyError, TypeError, ValueError):
        return None
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
