"""Parquet files, read in the caller's thread.

`pyarrow.parquet.read_table` starts pyarrow's pool of threads, whatever it is told, and that pool does not go together
with torch: of processes that had loaded both and read a table in this way, about a third were aborted as they ended
("terminate called without an active exception", exit code 134; pyarrow 26.0, torch 2.13, Linux). Tables here are small.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def read_table(source: Path | bytes) -> pa.Table:
    """The table in a file, or in the contents of one.

    Raises:
        pyarrow.ArrowInvalid: it is no Parquet file, or damaged.
        OSError: it cannot be read.
    """
    with pq.ParquetFile(pa.BufferReader(source) if isinstance(source, bytes) else source) as file:
        return file.read(use_threads=False)
