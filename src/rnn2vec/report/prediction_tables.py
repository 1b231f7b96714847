"""The predictions of a study as Markdown: how well properties are told, beside the paper's Table 11."""

from __future__ import annotations

from collections.abc import Sequence

from rnn2vec.experiments.paper import CORRELATIONS
from rnn2vec.experiments.study.downstream import PARTS, Prediction
from rnn2vec.experiments.study.summary import Summary
from rnn2vec.report.markdown import markdown_table
from rnn2vec.report.study_tables import estimate_text

PART_TITLES = {"validation": "unseen tasks", "ood": "OOD test"}
_SCORES = {
    "accuracy": "right",
    "r_squared": "R²",
    "angular_error": "angle off by",
    "calibration_error": "calibration error",
}
"""What a reader understands, where a property has it."""


def predictions_markdown(summary: Summary) -> str:
    """A table for each property and part: a row for each predictor; empty where nothing was predicted.

    Args:
        summary: of a study.
    """
    tables: list[str] = []
    for name in dict.fromkeys(one.property_name for one in summary.predictions):
        own = [one for one in summary.predictions if one.property_name == name]
        tables += [_table(name, part, own) for part in PARTS if any(f"{part}/loss" in one.metrics for one in own)]
    return "\n\n".join(tables)


def _table(name: str, part: str, predictions: Sequence[Prediction]) -> str:
    shown = [metric for metric in _SCORES if any(f"{part}/{metric}" in one.metrics for one in predictions)]
    head = ["", "loss", *(_SCORES[metric] for metric in shown), "loss against the first", "lower in"]
    rows = [
        [one.name, *(_at(one, f"{part}/{metric}") for metric in ("loss", *shown)), *_compared(one, part)]
        for one in predictions
    ]
    return f"**{name}**, {PART_TITLES[part]}\n\n{markdown_table(head, rows, numbers_right=True)}"


def _at(prediction: Prediction, metric: str) -> str:
    return estimate_text(prediction.metrics[metric]) if metric in prediction.metrics else "-"


def _compared(prediction: Prediction, part: str) -> list[str]:
    comparison = prediction.comparisons.get(part)
    if comparison is None:
        return ["", ""]
    return [f"{comparison.difference.mean:+.4f}", f"{comparison.lower} of {len(comparison.difference.points)}"]


def correlations_markdown(summary: Summary) -> str:
    """Table 11: whether a lower pre-training loss means better frozen predictions; empty where too few were made.

    Args:
        summary: of a study.
    """
    if not summary.correlations:
        return ""
    family = summary.study.zoo.family
    rows: list[list[str]] = []
    for one in summary.correlations:
        pearson = one.correlation
        low, high = pearson.interval
        value = CORRELATIONS.get((family, one.property_name), {}).get(one.part)
        text = f"{pearson.r:.3f} ({low:.3f}, {high:.3f})"
        paper_text = "" if value is None else f"{value:.3f}"
        rows.append([one.property_name, PART_TITLES[one.part], text, f"{pearson.num_points}", paper_text])
    head = ["pre-training loss and loss of predicting", "", "Pearson's r", "trainings", "paper"]
    return markdown_table(head, rows, numbers_right=True)
