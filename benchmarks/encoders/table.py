"""Speed of encoders as a Markdown table, for the documentation and the terminal."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.encoders.speed import PER_MODULE, Speed, SpeedTable, Spread
from rnn2vec.report.text import markdown_table


def speed_markdown(tables: Mapping[str, SpeedTable]) -> str:
    """Format a table for each workload.

    Args:
        tables: results of `benchmarks.encoders.speed.measure_speed`, by workload.
    """
    return "\n\n".join(_one(name, table) for name, table in tables.items()) + "\n"


def _one(workload: str, table: SpeedTable) -> str:
    head = (
        f"**{workload}**, batches of {table.rnns}, {table.threads} threads: median (smallest..largest). The floor is "
        f"the step's matrix products at {table.peak_gflops.median:.0f} GFLOP/s, the peak of a large product or LSTM "
        "layer on this machine."
    )
    columns = [
        "", "parameters", "ms per pre-training step", "floor, ms", "x floor", "RNNs embedded per second", "comparison"
    ]  # fmt: skip
    return f"{head}\n\n{markdown_table(columns, [_row(name, table) for name in table.rows])}"


def _row(name: str, table: SpeedTable) -> list[str]:
    speed = table.rows[name]
    return [
        name,
        f"{speed.parameters:,}" if speed.embedded_per_second else "",
        _spread(speed.step_ms),
        f"{speed.floor_ms:.0f}",
        f"{speed.step_ms.median / speed.floor_ms:.2f}" if speed.floor_ms else "",
        _spread(speed.embedded_per_second) if speed.embedded_per_second else "",
        _ratio(speed, table.rows.get(name.removesuffix(f", {PER_MODULE}"))),
    ]


def _ratio(speed: Speed, stacked: Speed | None) -> str:
    """Compare a per-module step with the stacked one of the same encoder."""
    if stacked is None or stacked is speed:
        return ""
    return f"{speed.step_ms.median / stacked.step_ms.median:.2f} x the step of the stack"


def _spread(spread: Spread) -> str:
    return f"{spread.median:,.0f} ({spread.low:,.0f}..{spread.high:,.0f})"
