"""Scores of property prediction as Markdown tables, for the terminal and the documentation."""

from __future__ import annotations

from collections.abc import Sequence

from rnn2vec.properties.predict import PropertyScores
from rnn2vec.properties.scores import Score
from rnn2vec.report.text import markdown_table, optional

_PARTS = {"validation": "unseen tasks", "ood": "unusual tasks (OOD test)"}


def property_markdown(results: Sequence[PropertyScores]) -> str:
    """Format two tables for each property, for unseen and out-of-distribution tasks, with a row for each predictor."""
    return "\n".join(_tables(result) for result in results)


def _tables(result: PropertyScores) -> str:
    rows = {f"**{result.encoder}, {result.setting}**": result.scores, **result.baselines}
    parts: list[str] = []
    for part, title in _PARTS.items():
        if part not in result.scores:
            continue
        whole = result.scores[part]
        head = ["", *_cells(whole, result.scores.get(f"{part}/last"))]
        body = [[name, *_cells(scores[part], scores.get(f"{part}/last")).values()] for name, scores in rows.items()]
        parts.append(f"**{result.property}**, {whole.num_rnns:,} RNNs of {title}\n\n{markdown_table(head, body)}\n")
    return "\n".join(parts)


def _cells(whole: Score, last: Score | None) -> dict[str, str | None]:
    """Format the scores that are defined for the property, by column title."""
    if whole.column_accuracy is not None:
        by_column = whole.column_accuracy if len(whole.column_accuracy) > 1 else {}
        cells: dict[str, str | None] = {"loss": f"{whole.loss:.4f}"}
        cells |= {"all right" if by_column else "right": optional(whole.accuracy, ".1%")}
        cells |= {"last snapshots": optional(last.accuracy if last else None, ".1%")}
        cells |= {name: optional(share, ".1%") for name, share in by_column.items()}
        return cells | {"calibration error": optional(whole.calibration_error, ".3f")}
    cells = {"loss": f"{whole.loss:.3g}", "R²": optional(whole.r_squared, ".3f")}
    cells |= {"typical error": optional(whole.root_mean_squared_error, ".3g")}
    cells |= {"last snapshots": optional(last.root_mean_squared_error if last else None, ".3g")}
    return cells if whole.angular_error is None else cells | {"angle off by": f"{whole.angular_error:.1f}"}
