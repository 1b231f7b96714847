"""The rows of a reproduction's studies as tables: a line for each number, with its family, encoder and seed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from rnn2vec.experiments import paper
from rnn2vec.experiments.study.config import BASELINE, PRETRAIN, Study
from rnn2vec.experiments.study.downstream import PARTS, loss_correlations
from rnn2vec.experiments.study.expand import BOUNDS, DEFAULT, pieces_of, points_of
from rnn2vec.experiments.study.rows import Row

Line = dict[str, Any]
Results = Mapping[str, tuple[Study, Mapping[str, Row]]]
"""Studies with their rows by piece, by the study's name."""

_LOSSES = {
    "family": pa.string(), "study": pa.string(), "encoder": pa.string(), "variant": pa.string(), "seed": pa.int32(),
    "total_variation": pa.float64(), "last_total_variation": pa.float64(), "forward_kl": pa.float64(),
    "reverse_kl": pa.float64(), "js": pa.float64(), "papers_measure": pa.float64(), "best_step": pa.int32(),
    "updates": pa.int32(), "seconds": pa.float64(), "processor": pa.string(), "weights": pa.string(),
}  # fmt: skip
_SWEEPS = {
    "family": pa.string(), "encoder": pa.string(), "sweep": pa.string(), "value": pa.float64(), "seed": pa.int32(),
    "total_variation": pa.float64(), "papers_measure": pa.float64(),
}  # fmt: skip
_PREDICTIONS = {
    "family": pa.string(), "property": pa.string(), "setting": pa.string(), "encoder": pa.string(), "seed": pa.int32(),
    "part": pa.string(), "metric": pa.string(), "value": pa.float64(),
}  # fmt: skip
_CORRELATIONS = {
    "family": pa.string(), "property": pa.string(), "part": pa.string(), "r": pa.float64(), "low": pa.float64(),
    "high": pa.float64(), "trainings": pa.int32(),
}  # fmt: skip


def tables_of_rows(results: Results) -> dict[str, pa.Table]:
    """Return the tables `losses`, `sweeps`, `predictions` and `correlations`.

    Args:
        results: of the studies of one reproduction.
    """
    lines: dict[str, tuple[dict[str, pa.DataType], Iterable[Line]]] = {
        "losses": (_LOSSES, (line for one in results.values() for line in _losses(*one))),
        "sweeps": (_SWEEPS, (line for one in results.values() for line in _sweeps(*one))),
        "predictions": (_PREDICTIONS, (line for one in results.values() for line in _predictions(*one))),
        "correlations": (_CORRELATIONS, (line for one in results.values() for line in _correlations(*one))),
    }
    return {
        name: pa.Table.from_pylist(list(found), schema=pa.schema(schema)) for name, (schema, found) in lines.items()
    }


def _losses(study: Study, rows: Mapping[str, Row]) -> Iterator[Line]:
    """Give the kept models of all pre-trainings but sweeps, the bounds, and the closed form of the floor."""
    swept = {point.piece.name for seed in study.seeds for point in points_of(study, seed)}
    for row in rows.values():
        is_swept = row.piece in swept and row.variant not in (study.variants or {DEFAULT})
        if row.setting not in {PRETRAIN, "floor"} or is_swept or not row.best:
            continue
        yield {
            "family": study.zoo.family,
            "study": study.name,
            "encoder": row.encoder,
            "variant": row.variant,
            "seed": row.seed,
            "last_total_variation": row.best["last/total-variation"],
            "papers_measure": _papers_measure(study, row),
            "best_step": row.best["step"],
            "updates": int(row.curve["step"][-1]) if row.curve else 0,
            "seconds": row.seconds,
            "processor": row.hardware.get("processor"),
            "weights": row.zoo.get("weights"),
            **{
                name: row.best[f"validation/{name.replace('_', '-')}"]
                for name in ("total_variation", "forward_kl", "reverse_kl", "js")
            },
        }


def _papers_measure(study: Study, row: Row) -> float:
    return row.best[f"validation/{paper.MEASURE}"] / study.zoo.task_family.output_size


def _sweeps(study: Study, rows: Mapping[str, Row]) -> Iterator[Line]:
    for seed in study.seeds:
        for point in points_of(study, seed):
            row = rows.get(point.piece.name)
            if row is not None:
                yield {
                    "family": study.zoo.family,
                    "encoder": row.encoder,
                    "sweep": point.sweep,
                    "value": float(point.value),
                    "seed": seed,
                    "total_variation": row.best["validation/total-variation"],
                    "papers_measure": _papers_measure(study, row),
                }


def _predictions(study: Study, rows: Mapping[str, Row]) -> Iterator[Line]:
    """Give every score of every predictor; baselines go by their own names."""
    for row in rows.values():
        if row.property_name is None or row.variant not in {DEFAULT, *BOUNDS}:
            continue
        scores = {(row.setting, row.encoder): row.best}
        for name, metrics in row.baselines.items():
            own = f"{name} of {row.encoder}" if name.endswith("on representation") else name
            scores[BASELINE, own] = metrics
        for (setting, encoder), metrics in scores.items():
            for metric, value in metrics.items():
                part, _, rest = metric.partition("/")
                if part in PARTS:
                    yield {
                        "family": study.zoo.family,
                        "property": row.property_name,
                        "setting": setting,
                        "encoder": encoder,
                        "seed": row.seed,
                        "part": part,
                        "metric": rest,
                        "value": value,
                    }


def _correlations(study: Study, rows: Mapping[str, Row]) -> Iterator[Line]:
    for one in loss_correlations(pieces_of(study), rows, "total-variation"):
        low, high = one.correlation.interval
        yield {
            "family": study.zoo.family,
            "property": one.property_name,
            "part": one.part,
            "r": one.correlation.r,
            "low": low,
            "high": high,
            "trainings": one.correlation.num_points,
        }


def select(table: pa.Table, /, **equal: str | float) -> pa.Table:
    """Return the rows of a table whose columns have these values."""
    for column, value in equal.items():
        table = table.filter(pa.array([one == value for one in table[column].to_pylist()], pa.bool_()))
    return table


def write_tables(folder: Path, tables: Mapping[str, pa.Table]) -> None:
    """Write each table as `NAME.parquet`, atomically; the same table gives the same bytes."""
    import pyarrow.parquet as pq  # noqa: PLC0415

    from rnn2vec._files import write_atomically  # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        write_atomically(folder / f"{name}.parquet", sink.getvalue().to_pybytes())
