"""A study's report: tables, figures and all numbers, made from its rows alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rnn2vec._files import write_atomically, write_json
from rnn2vec._text import markdown
from rnn2vec.experiments.statistics import FEWEST, FEWEST_FOR_BOOTSTRAP
from rnn2vec.experiments.study.summary import Summary, summarize, to_json
from rnn2vec.experiments.study.table import write_table
from rnn2vec.report.study_figures import draw_study
from rnn2vec.report.study_tables import (
    comparisons_markdown,
    correlations_markdown,
    losses_markdown,
    origin_markdown,
    predictions_markdown,
    sweeps_markdown,
)

FOLDER = "report"


def write_study_report(folder: str | Path) -> Summary:
    """Write `results.parquet`, `results.json` and `report/` into a study's folder; equal rows give equal bytes.

    Args:
        folder: folder of a study, with `study.json` and `rows/`.

    Raises:
        UsageError: if it holds no study, or no row yet.
        DataError: if a file is damaged.
    """
    folder = Path(folder)
    summary = summarize(folder)
    report = folder / FOLDER
    report.mkdir(exist_ok=True)
    write_table(folder / "results.parquet", summary.rows.values())
    write_json(folder / "results.json", to_json(summary))
    figures = draw_study(summary, report)
    write_atomically(report / "report.md", study_markdown(summary, figures).encode())
    return summary


def study_markdown(summary: Summary, figures: Mapping[str, str]) -> str:
    """Format the report.

    Args:
        summary: summary of a study.
        figures: names of the figures' files, by title.
    """
    note = (
        f"From {FEWEST} seeds on: mean and 95 % interval (Student's t over seeds; from {FEWEST_FOR_BOOTSTRAP} on the "
        "studentized bootstrap). With fewer, every seed's number is shown and no interval is claimed."
    )
    pictures = [f"![{title}]({file})" for title, file in figures.items()]
    predicted = predictions_markdown(summary)
    parts = [
        f"# Study {summary.study.name}",
        markdown(summary.study.question),
        note,
        "## Losses",
        losses_markdown(summary),
        comparisons_markdown(summary),
        sweeps_markdown(summary),
        "## Predictions of properties" if predicted else "",
        predicted,
        correlations_markdown(summary),
        *pictures,
        "## Where this comes from",
        origin_markdown(summary),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
