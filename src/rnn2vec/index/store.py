"""An index on disk: a manifest and append-only parts.

    index.json            format, size of the vectors, parts with checksums, its own checksum; replaced after each part
    parts/00000.parquet   `rnn` (a name), `vector`, and a column for each property
    model/                the encoder that the vectors are from, when there is one

Adding writes one new part and then the manifest, so nothing is ever rewritten, and a kill at any time loses at most
the part that was being written. A part holds names, vectors and properties in one file, which is there or not. The
embedded databases that were measured answered exact queries at these sizes more slowly than NumPy does.
"""

from __future__ import annotations

import dataclasses
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float32

from rnn2vec._errors import DataError, UsageError
from rnn2vec._files import read_bytes, read_sealed, sha256_of, write_atomically, write_sealed
from rnn2vec._parquet import LARGEST_TABLE, read_table
from rnn2vec._typed import typed

FORMAT_VERSION = 2
"""Version 1 had no checksum of the manifest."""
MANIFEST = "index.json"
PARTS = "parts"
NAME = "rnn"
VECTOR = "vector"
_PART = re.compile(rf"{PARTS}/\d{{5,9}}\.parquet")
_LARGEST_VECTOR = 65_536


@dataclass(frozen=True)
class Part:
    """Finished part, as the manifest lists it."""

    file: str
    """File name below the index."""
    num_rnns: int
    """Rows."""
    checksum: str
    """SHA-256 of the file."""

    def __post_init__(self) -> None:
        if not _PART.fullmatch(self.file) or self.num_rnns < 0:
            raise UsageError(
                f"a part {self.file!r} of {self.num_rnns} RNNs", remedy=f"parts are {PARTS}/NUMBER.parquet below it."
            )


@dataclass(frozen=True)
class Manifest:
    """Content of `index.json`."""

    vector_size: int
    """Entries of a vector, Z."""
    provenance: dict[str, str | None]
    """Versions and commit that made the index."""
    parts: tuple[Part, ...] = ()
    """Finished parts, in the order in which they were added."""

    def __post_init__(self) -> None:
        if not 1 <= self.vector_size <= _LARGEST_VECTOR:
            raise UsageError(f"vectors of {self.vector_size} numbers", remedy=f"give 1 to {_LARGEST_VECTOR:,}.")
        if len({part.file for part in self.parts}) < len(self.parts):
            raise UsageError("a part is listed twice", remedy="list each part once.")

    def write(self, folder: Path) -> None:
        """Write `index.json`, atomically."""
        write_sealed(folder / MANIFEST, {"format_version": FORMAT_VERSION, **dataclasses.asdict(self)})

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read `index.json`.

        Raises:
            UsageError: if the folder is not an index.
            DataError: if the manifest is damaged, or of a newer format.
        """
        path = folder / MANIFEST
        if not path.is_file():
            what = f"has no {MANIFEST}" if folder.is_dir() else "is a file" if folder.exists() else "does not exist"
            raise UsageError(
                f"{folder} is not an index: it {what}", remedy="give a folder that `rnn2vec index build --out` made."
            )
        content = read_sealed(path, newest=FORMAT_VERSION)
        del content["format_version"]
        try:
            return typed(cls, content)
        except ValueError as error:
            reason = error.problem if isinstance(error, UsageError) else str(error)
            raise DataError(
                f"{path} does not have the entries of an index's manifest: {reason}",
                remedy="restore the file, or build the index again in another folder.",
            ) from error


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


def read_part(folder: Path, part: Part, size: int) -> pa.Table:
    """Read one part, its checksum verified, with one finite vector of `size` numbers in each row.

    Raises:
        DataError: if the part is missing, altered, or holds something else than the manifest says.
    """
    path = folder / part.file
    if not path.exists():
        raise _damaged(path, "missing")
    data = read_bytes(path, largest=LARGEST_TABLE)
    if sha256_of(data) != part.checksum:
        raise _damaged(path, "truncated or altered: its checksum is not the one in the manifest")
    table = read_table(data)
    names = table.column_names
    if len(set(names)) < len(names) or not {NAME, VECTOR} <= set(names) or table.num_rows != part.num_rnns:
        raise _damaged(path, f"not a part of this index: {table.num_rows} rows with the columns {', '.join(names)}")
    kinds = (pa.types.is_string(table.schema.field(NAME).type), _is_vector(table.schema.field(VECTOR).type, size))
    if not all(kinds) or table.column(NAME).null_count or table.column(VECTOR).null_count:
        raise _damaged(path, f"not a part of this index: it needs a name and a vector of {size} numbers in each row")
    if not np.isfinite(vectors_of(table, size)).all():
        raise _damaged(path, "not a part of this index: a vector has NaN, infinite or missing numbers")
    return table


def _is_vector(kind: pa.DataType, size: int) -> bool:
    return pa.types.is_fixed_size_list(kind) and kind.list_size == size and kind.value_type == pa.float32()


def _damaged(path: Path, wrong: str) -> DataError:
    return DataError(f"{path} is {wrong}", remedy="restore it, or build the index again in another folder.")


def to_table(names: list[str], vectors: Float32[np.ndarray, "N Z"], properties: dict[str, Any]) -> pa.Table:
    """Combine names, vectors and properties in one table."""
    flat = pa.array(np.ascontiguousarray(vectors).reshape(-1), type=pa.float32())
    column = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    return pa.table({NAME: pa.array(names, type=pa.string()), VECTOR: column, **properties})


def vectors_of(table: pa.Table, size: int) -> Float32[np.ndarray, "N Z"]:
    """Return the vectors of a table as one array."""
    chunks = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in table.column(VECTOR).chunks]
    flat = np.concatenate(chunks) if chunks else np.empty(0, dtype=np.float32)
    return flat.reshape(-1, size)
