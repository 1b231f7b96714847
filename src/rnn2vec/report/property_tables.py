"""Scores of property prediction as Markdown tables, for the terminal and the documentation."""

from __future__ import annotations

from collections.abc import Sequence

from rnn2vec.properties.predict import PropertyScores
from rnn2vec.properties.scores import Score
from rnn2vec.report.markdown import markdown_table

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


def _cells(whole: Score, last: Score | None) -> dict[str, str]:
    """Format the scores that are defined for the property, by column title."""
    if whole.column_accuracy is not None:
        by_column = whole.column_accuracy if len(whole.column_accuracy) > 1 else {}
        cells = {"loss": f"{whole.loss:.4f}", "all right" if by_column else "right": _share(whole.accuracy)}
        cells |= {"last snapshots": _share(last.accuracy if last else None)}
        cells |= {name: _share(share) for name, share in by_column.items()}
        return cells | {"calibration error": _number(whole.calibration_error)}
    cells = {"loss": f"{whole.loss:.3g}", "R²": _number(whole.r_squared)}
    cells |= {"typical error": f"{whole.root_mean_squared_error:.3g}"}
    cells |= {"last snapshots": f"{last.root_mean_squared_error:.3g}" if last else "-"}
    return cells if whole.angular_error is None else cells | {"angle off by": f"{whole.angular_error:.1f}"}


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
