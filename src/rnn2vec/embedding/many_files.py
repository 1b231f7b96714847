"""Embed thousands of checkpoint files: in batches, so that memory stays flat, and so that a kill loses one batch.

Each batch is read, grouped by architecture, embedded, and written as a Parquet part beside the output; the same call
again takes the parts that are there and goes on. A plan says which files, model and hints the parts belong to: where
it differs, they are dropped. A file that cannot be read is a row with the reason, and the others go on.

An index by path and time would save more of the work when single files change, but ten thousand small RNNs are read
and embedded in less than a minute.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float32

from rnn2vec._errors import DataError, Rnn2VecError, UsageError
from rnn2vec._files import canonical_json, claim_folder, read_json, sha256_of, write_atomically, write_json
from rnn2vec._progress import Progress, silent
from rnn2vec._provenance import provenance
from rnn2vec.embedding.rnn2vec import Rnn2Vec
from rnn2vec.rnn.files import SUFFIXES, load_rnn
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.rnn.state_dicts import Hints
from rnn2vec.zoo.store import MANIFEST, Zoo

PLAN = "plan.json"
_FILES_AT_ONCE = 256


@dataclass(frozen=True)
class LeftOut:
    """A file that could not be embedded."""

    path: Path
    """Which."""
    problem: str
    """Why, with the path in it."""
    remedy: str
    """What can be done about it."""
    is_usage: bool
    """Whether it is no damage but the wrong file."""

    @property
    def error(self) -> Rnn2VecError:
        """It as an error."""
        return (UsageError if self.is_usage else DataError)(self.problem, remedy=self.remedy)


@dataclass(frozen=True)
class Embedded:
    """What became of some files."""

    names: list[str]
    """The RNNs that could be embedded, in order: their paths, or `PATH#NUMBER` in a zoo."""
    vectors: Float32[np.ndarray, "N Z"]
    """A row for each."""
    left_out: list[LeftOut] = field(default_factory=list[LeftOut])
    """The files that could not."""


def checkpoint_files(paths: Iterable[Path]) -> list[Path]:
    """All checkpoint files below folders, sorted; files, zoos and folders without any stay as they are."""
    files: list[Path] = []
    for path in paths:
        if not path.is_dir() or (path / MANIFEST).is_file():
            files.append(path)
            continue
        files += sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file()) or [path]
    return files


def embed_files(
    rnn2vec: Rnn2Vec, files: Sequence[Path], *, progress: Progress = silent, **hints: Unpack[Hints]
) -> Iterator[Embedded]:
    """Embed files batch by batch.

    Args:
        rnn2vec: the encoder.
        files: checkpoints and zoos.
        progress: hears of every batch.
        **hints: what the files leave open.

    Yields:
        What became of each batch.
    """
    for done, batch in _batches(files):
        progress(done, len(files), batch[0].name)
        yield _embed_batch(rnn2vec, batch, hints)
    progress(len(files), len(files), "done")


def embed_files_to(
    out: Path, rnn2vec: Rnn2Vec, files: Sequence[Path], *, progress: Progress = silent, **hints: Unpack[Hints]
) -> Embedded:
    """Embed files into a Parquet file, or go on with it: a row for each RNN, its name and its vector.

    Args:
        out: the Parquet file; while it is not finished, parts lie in a folder beside it.
        rnn2vec: the encoder.
        files: checkpoints and zoos.
        progress: hears of every batch.
        **hints: what the files leave open.

    Returns:
        What became of the files; `out` is written unless all were left out.

    Raises:
        UsageError: the folder of the parts holds other things.
        StorageError: the disk refused a write; the parts that are there are kept.
    """
    folder = out.with_name(f"{out.name}.parts")
    _claim(folder, {"files": _stamps(files), "model": _digest(rnn2vec), "hints": _plain(hints)})
    parts: list[Embedded] = []
    for number, (done, batch) in enumerate(_batches(files)):
        progress(done, len(files), batch[0].name)
        place = folder / f"{number:05d}.parquet"
        part = _read_part(place) if place.exists() else None
        if part is None:
            part = _embed_batch(rnn2vec, batch, hints)
            _write_part(place, part)
        parts.append(part)
    progress(len(files), len(files), "done")
    whole = joined(parts)
    if whole.names:
        write_atomically(out, _parquet(_columns(whole.names, whole.vectors)))
    shutil.rmtree(folder)
    return whole


def _batches(files: Sequence[Path]) -> Iterator[tuple[int, Sequence[Path]]]:
    for at in range(0, len(files), _FILES_AT_ONCE):
        yield at, files[at : at + _FILES_AT_ONCE]


def _embed_batch(rnn2vec: Rnn2Vec, batch: Sequence[Path], hints: Hints) -> Embedded:
    """Read and embed some files."""
    names: list[str] = []
    stacks: list[RNNStack] = []
    left_out: list[LeftOut] = []
    for path in batch:
        try:
            stack = _read(path, hints)
            rnn2vec.encoder.check(stack)
        except Rnn2VecError as error:
            problem = error.problem if str(path) in error.problem else f"{path}: {error.problem}"
            left_out.append(LeftOut(path, problem, error.remedy, isinstance(error, UsageError)))
        except OSError as error:
            left_out.append(LeftOut(path, f"{path}: {error.strerror}", "make it readable, or leave it out.", False))
        else:
            names += [str(path)] if len(stack) == 1 else [f"{path}#{number}" for number in range(len(stack))]
            stacks.append(stack)
    vectors = rnn2vec.embed(stacks) if stacks else np.empty((0, rnn2vec.encoder.representation_size), np.float32)
    return Embedded(names, vectors, left_out)


def _read(path: Path, hints: Hints) -> RNNStack:
    if path.is_dir() and not (path / MANIFEST).is_file():
        raise UsageError(
            f"{path} holds no checkpoint files ({', '.join(SUFFIXES)}) and is no zoo",
            remedy="give a folder of checkpoints, or the files themselves.",
        )
    if not path.is_dir():
        return load_rnn(path, **hints)
    zoo = Zoo.open(path)
    stack = zoo.rnns(range(len(zoo)))
    stack.require_finite()
    return stack


# -- the plan --------------------------------------------------------------------------------------


def _claim(folder: Path, plan: dict[str, Any]) -> None:
    """Make the folder of the parts ready, empty unless its parts belong to this plan."""
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
    """Which files they are, and whether they have changed."""
    stats = [(path, path.stat() if path.exists() else None) for path in files]
    return [[str(path.absolute()), stat and stat.st_size, stat and stat.st_mtime_ns] for path, stat in stats]


def _digest(rnn2vec: Rnn2Vec) -> str:
    """A checksum of the encoder, of the code that runs it, and of how it is used."""
    checksum = hashlib.sha256(f"{provenance()} {rnn2vec!r} {rnn2vec.encoder.interface}".encode())
    for name, tensor in sorted(rnn2vec.encoder.state_dict().items()):
        checksum.update(name.encode() + tensor.cpu().float().contiguous().numpy().tobytes())
    return checksum.hexdigest()


def _plain(hints: Hints) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in hints.items()}


# -- parts -----------------------------------------------------------------------------------------


def _columns(names: Sequence[str], vectors: np.ndarray) -> pa.Table:
    return pa.table({"rnn": pa.array(names, pa.string()), **{f"z{at}": column for at, column in enumerate(vectors.T)}})


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def _write_part(place: Path, part: Embedded) -> None:
    """One Parquet file: the vectors, and as its metadata what was left out."""
    left_out = [vars(one) | {"path": str(one.path)} for one in part.left_out]
    table = _columns(part.names, part.vectors).replace_schema_metadata({"left_out": canonical_json(left_out)})
    write_atomically(place, _parquet(table))


def _read_part(place: Path) -> Embedded | None:
    """The part, or None where it is damaged and must be made again."""
    try:
        table = pq.read_table(place)
        left_out = json.loads(table.schema.metadata[b"left_out"])
    except (pa.ArrowInvalid, OSError, KeyError, TypeError, ValueError):
        return None
    vectors = np.stack([table.column(name).to_numpy() for name in table.column_names[1:]], axis=1)
    failures = [LeftOut(**one | {"path": Path(one["path"])}) for one in left_out]
    return Embedded(table.column("rnn").to_pylist(), vectors, failures)


def joined(parts: Iterable[Embedded]) -> Embedded:
    """Several batches as one; at least one."""
    parts = list(parts)
    return Embedded(
        [name for part in parts for name in part.names],
        np.concatenate([part.vectors for part in parts]),
        [one for part in parts for one in part.left_out],
    )
