"""An index on disk: a manifest and append-only parts.

    index.json            format, size of the vectors, parts with checksums; replaced after each part
    parts/00000.parquet   `rnn` (a name), `vector`, and a column for each property
    model/                the encoder that the vectors are from, when there is one

Adding writes one new part and then the manifest, so nothing is ever rewritten, and a kill at any time loses at most
the part that was being written. A part holds names, vectors and properties in one file, which is there or not. The
embedded databases that were measured answered exact queries at these sizes more slowly than NumPy does.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import io
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float32

from rnn2vec._errors import DataError, UsageError
from rnn2vec._files import read_json, remove_leftovers, sha256_of, write_atomically, write_json
from rnn2vec._parquet import read_table

FORMAT_VERSION = 1
MANIFEST = "index.json"
MODEL = "model"
PARTS = "parts"
NAME = "rnn"
VECTOR = "vector"


@dataclass(frozen=True)
class Part:
    """A finished part, as the manifest lists it."""

    file: str
    """Its place below the index."""
    num_rnns: int
    """Rows."""
    checksum: str
    """SHA-256 of the file."""


@dataclass(frozen=True)
class Manifest:
    """The content of `index.json`."""

    vector_size: int
    """Entries of a vector, Z."""
    provenance: dict[str, str | None]
    """Versions and commit that made the index."""
    parts: tuple[Part, ...] = ()
    """Finished parts, in the order in which they were added."""

    def write(self, folder: Path) -> None:
        """Write `index.json`, atomically."""
        write_json(folder / MANIFEST, {"format_version": FORMAT_VERSION, **dataclasses.asdict(self)})

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read `index.json`.

        Raises:
            UsageError: the folder is not an index.
            DataError: the manifest is damaged, or of a newer format.
        """
        path = folder / MANIFEST
        if not path.is_file():
            what = f"has no {MANIFEST}" if folder.is_dir() else "does not exist"
            raise UsageError(
                f"{folder} is not an index: it {what}", remedy="give a folder that `rnn2vec index build --out` made."
            )
        content = read_json(path)
        version = content.get("format_version") if isinstance(content, dict) else None
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise DataError(
                f"{folder} has format version {version}; this rnn2vec reads up to {FORMAT_VERSION}",
                remedy="upgrade it: pip install --upgrade rnn2vec.",
            )
        try:
            parts = tuple(Part(**part) for part in content["parts"])
            return cls(int(content["vector_size"]), content["provenance"], parts)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{path} does not have the entries of an index's manifest: {error!r}",
                remedy="restore the file, or build the index again in another folder.",
            ) from error


@contextlib.contextmanager
def writing(folder: Path) -> Generator[None]:
    """Keep other processes from adding at the same time; the system frees the lock of a process that was killed.

    Raises:
        UsageError: another process is adding.
    """
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"another process is adding to {folder}", remedy="wait until it is done, then add again."
            ) from error
        remove_leftovers(folder, folder / PARTS)
        yield


def write_part(folder: Path, number: int, table: pa.Table) -> Part:
    """Write one part; it counts once the manifest lists the entry returned."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    data = buffer.getvalue()
    part = Part(f"{PARTS}/{number:05d}.parquet", table.num_rows, sha256_of(data))
    path = folder / part.file
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, data)
    return part


def read_part(folder: Path, part: Part) -> pa.Table:
    """Read one part, its checksum verified.

    Raises:
        DataError: it is missing or altered.
    """
    path = folder / part.file
    data = path.read_bytes() if path.is_file() else b""
    if sha256_of(data) != part.checksum:
        wrong = "truncated or altered: its checksum is not the one in the manifest" if data else "missing"
        raise DataError(f"{path} is {wrong}", remedy="restore it, or build the index again in another folder.")
    return read_table(data)


def to_table(names: list[str], vectors: Float32[np.ndarray, "N Z"], properties: dict[str, Any]) -> pa.Table:
    """Names, vectors and properties as one table."""
    flat = pa.array(np.ascontiguousarray(vectors).reshape(-1), type=pa.float32())
    column = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    return pa.table({NAME: pa.array(names, type=pa.string()), VECTOR: column, **properties})


def vectors_of(table: pa.Table, size: int) -> Float32[np.ndarray, "N Z"]:
    """The vectors of a table as one array."""
    chunks = [chunk.flatten().to_numpy() for chunk in table.column(VECTOR).chunks]
    flat = np.concatenate(chunks) if chunks else np.empty(0, dtype=np.float32)
    return flat.reshape(-1, size)
