"""Parquet files of bounded size, read in the caller's thread.

A file of a megabyte can claim hundreds of millions of values, or one long text a million times. The sizes that its
footer states are checked before memory is taken, and texts are read as dictionaries until their total length is known.

`pyarrow.parquet.read_table` starts pyarrow's pool of threads, whatever its options, and that pool does not go together
with torch: of processes that had loaded both and read a table in this way, about a third were aborted as they ended
("terminate called without an active exception", exit code 134; pyarrow 26.0, torch 2.13, Linux). Tables here are small.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rnn2vec._errors import DataError
from rnn2vec._files import require_regular

LARGEST_TABLE = 2**30
"""Bytes of a Parquet file, and of each kind of content after unpacking."""
_MOST_VALUES = 2**26


def read_table(source: Path | bytes) -> pa.Table:
    """Return the table in a file, or in the contents of one.

    Raises:
        DataError: if the file is not Parquet, is damaged, or holds more than a table of ours may.
        UsageError: if the path is not a regular file.
    """
    where = "the table" if isinstance(source, bytes) else str(source)
    if isinstance(source, Path):
        require_regular(source, largest=LARGEST_TABLE)
    try:
        return _read(source)
    except (pa.ArrowException, OSError, ValueError, RecursionError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"{where} cannot be read as Parquet: {reason}", remedy="restore it, or give a Parquet file."
        ) from error


def _read(source: Path | bytes) -> pa.Table:
    with pq.ParquetFile(pa.BufferReader(source) if isinstance(source, bytes) else source) as file:
        _require_moderate(file.metadata)
        texts = [field.name for field in file.schema_arrow if pa.types.is_string(field.type)]
    with pq.ParquetFile(
        pa.BufferReader(source) if isinstance(source, bytes) else source, read_dictionary=texts
    ) as file:
        return _plain(file.read(use_threads=False))


def _require_moderate(footer: pq.FileMetaData) -> None:
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    columns = [group.column(number) for group in groups for number in range(group.num_columns)]
    values = sum(column.num_values for column in columns)
    unpacked = sum(column.total_uncompressed_size for column in columns)
    rows = footer.num_rows
    if not 0 <= rows <= _MOST_VALUES or not 0 <= values <= _MOST_VALUES or not 0 <= unpacked <= LARGEST_TABLE:
        raise ValueError(
            f"it claims {rows:,} rows, {values:,} values and {unpacked:,} bytes; "
            f"at most {_MOST_VALUES:,} values and {LARGEST_TABLE:,} bytes are read"
        )


def _plain(table: pa.Table) -> pa.Table:
    """Unpack texts that were read as dictionaries, once their length is known."""
    for at, field in enumerate(table.schema):
        if not pa.types.is_dictionary(field.type):
            continue
        column = table.column(at)
        size = sum(_length(chunk) for chunk in column.chunks)
        if size > LARGEST_TABLE:
            raise ValueError(f"column {field.name!r} unpacks to {size:,} bytes")
        table = table.set_column(at, field.with_type(field.type.value_type), column.cast(field.type.value_type))
    return table


def _length(chunk: pa.DictionaryArray) -> int:
    lengths = np.array([len(text or "") for text in chunk.dictionary.to_pylist()], dtype=np.int64)
    return int(lengths[chunk.indices.drop_null().to_numpy()].sum())
