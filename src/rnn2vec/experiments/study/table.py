"""All numbers of a study as one tidy table: a row for each number, so that any tool can group and plot them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rnn2vec._files import write_atomically
from rnn2vec.experiments.study.rows import Row

_SCHEMA = pa.schema(
    {
        "piece": pa.string(),
        "setting": pa.string(),
        "encoder": pa.string(),
        "variant": pa.string(),
        "property": pa.string(),  # what is predicted; none in pre-training
        "seed": pa.int32(),
        "kept": pa.bool_(),  # of the model with the lowest validation loss; otherwise of the learning curve
        "step": pa.int32(),
        "metric": pa.string(),
        "value": pa.float32(),
    }
)


def tidy_table(rows: Iterable[Row]) -> pa.Table:
    """Build the table: a row for each metric of each validation, each kept model, and each baseline.

    Args:
        rows: rows of a study.
    """
    return pa.Table.from_pylist([line for row in rows for line in _lines(row)], schema=_SCHEMA)


def write_table(path: Path, rows: Iterable[Row]) -> None:
    """Write the tidy table as Parquet, atomically."""
    buffer = io.BytesIO()
    pq.write_table(tidy_table(rows), buffer, compression="zstd")
    write_atomically(path, buffer.getvalue())


def _lines(row: Row) -> Iterator[dict[str, Any]]:
    names = {name: getattr(row, name) for name in ("piece", "setting", "encoder", "variant", "seed")}
    names["property"] = row.property_name
    for place, step in enumerate(row.curve.get("step", [])):
        for metric, values in row.curve.items():
            if metric != "step":
                yield {**names, "kept": False, "step": int(step), "metric": metric, "value": values[place]}
    for metric, value in row.best.items():
        if metric != "step":
            yield {**names, "kept": True, "step": int(row.best["step"]), "metric": metric, "value": value}
    for baseline, metrics in row.baselines.items():
        for metric, value in metrics.items():
            yield {**names, "encoder": baseline, "kept": True, "step": None, "metric": metric, "value": value}
