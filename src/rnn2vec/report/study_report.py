"""A study's report: tables, figures and all numbers, made from its rows alone."""

from __future__ import annotations

from pathlib import Path

from rnn2vec._files import write_atomically, write_json
from rnn2vec.report.study_figures import draw_study
from rnn2vec.report.study_tables import study_markdown
from rnn2vec.study.summary import Summary, summarize, to_json
from rnn2vec.study.table import write_table

FOLDER = "report"


def write_study_report(folder: str | Path) -> Summary:
    """Write `results.parquet`, `results.json` and `report/` into a study's folder; the same rows give the same bytes.

    Args:
        folder: a study's folder, with `study.json` and `rows/`.

    Raises:
        UsageError: it holds no study, or no row yet.
        DataError: a file is damaged.
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
