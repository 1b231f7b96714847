"""A study as Markdown: for the terminal, and for the documentation beside its figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from rnn2vec.experiments import paper
from rnn2vec.experiments.statistics import Estimate
from rnn2vec.experiments.study.config import PRETRAIN
from rnn2vec.experiments.study.downstream import PARTS, Prediction
from rnn2vec.experiments.study.summary import Group, Summary, SweepCurve
from rnn2vec.report.text import markdown_table
from rnn2vec.zoo.config import PRESETS as ZOO_PRESETS

PART_TITLES = {"validation": "unseen tasks", "ood": "OOD test"}
_SCORES = {
    "accuracy": "right",
    "r_squared": "R²",
    "angular_error": "angle off by",
    "calibration_error": "calibration error",
}
"""Titles of the scores that are shown if a property has them."""


def losses_markdown(summary: Summary) -> str:
    """Format the losses of each group, with floor, ceiling and the paper's numbers, in both measures."""
    published = paper.LOSSES.get(summary.study.zoo.family, {})
    head = [
        "encoder",
        "variant",
        "seeds",
        f"{summary.metric.replace('-', ' ')}, unseen tasks",
        "their last snapshots",
        "left the plateau",
        "at step (median)",
        "clearly below the floor",
        f"reverse KL / {summary.num_outputs} outputs",
        "paper",
    ]
    rows = [[*_group_cells(group), *_in_papers_measure(group, published)] for group in summary.groups]
    return f"{floor_in_words(summary)}\n\n{markdown_table(head, rows, numbers_right=True)}"


def _in_papers_measure(group: Group, published: Mapping[str, paper.Published]) -> list[str]:
    cells = "" if group.in_papers_measure is None else estimate_text(group.in_papers_measure)
    return [cells, str(published.get(group.encoder, ""))]


def floor_in_words(summary: Summary) -> str:
    """Describe the floor, the ceiling, and the criteria for losses below the floor."""
    floor = summary.floor
    if floor.value is None or floor.plateau is None:
        return "The task-blind floor was not measured."
    parts = {"closed form": floor.closed_form, "an emulator that sees no RNN": floor.trained}
    known = ", ".join(f"{name} {value:.4f}" for name, value in parts.items() if value is not None)
    return (
        f"Task-blind floor: **{floor.value:.4f}** ({known}{_papers(summary.floor_in_papers_measure)}). A training "
        f"has left the plateau once its validation is below {floor.plateau:.4f}, 10 % under the floor; *clearly below* "
        f"asks the same of the kept model, with a bootstrap over the unseen tasks.{_ceiling_in_words(summary)}"
    )


def _ceiling_in_words(summary: Summary) -> str:
    if summary.ceiling is None:
        return ""
    return (
        f" Ceiling, an emulator that is given the true task and step: **{summary.ceiling:.4f}**"
        f"{_papers(summary.ceiling_in_papers_measure)}."
    )


def _papers(value: float | None) -> str:
    return "" if value is None else f"; in the paper's measure {value:.4f}"


def _group_cells(group: Group) -> list[str]:
    steps = [step for step in group.left_at.values() if step is not None]
    seeds = len(group.rows)
    return [
        group.encoder,
        group.variant,
        f"{seeds}",
        estimate_text(group.loss),
        estimate_text(group.last),
        f"{len(steps)} of {seeds}",
        f"{median(steps):,.0f}" if steps else "never",
        f"{sum(group.clearly_below.values())} of {seeds}",
    ]


def estimate_text(estimate: Estimate) -> str:
    """Format mean and interval, or the numbers themselves if there is no interval."""
    if estimate.interval is not None:
        low, high = estimate.interval
        return f"{estimate.mean:.4f} ({low:.4f}, {high:.4f})"
    return " ".join(f"{point:.4f}" for point in estimate.points)


def comparisons_markdown(summary: Summary) -> str:
    """Format the comparison of each group with the first, seed by seed; empty for a single group."""
    if not summary.comparisons:
        return ""
    rows = [
        [name, estimate_text(one.difference), f"{one.difference.mean:+.4f}", f"{one.lower} of {_count(one.difference)}"]
        for name, one in summary.comparisons.items()
    ]
    head = [f"against {summary.groups[0].name}", "difference, seed by seed", "mean", "lower in"]
    return markdown_table(head, rows, numbers_right=True)


def sweeps_markdown(summary: Summary) -> str:
    """Format a table for each sweep, with a row for each encoder and a column for each value."""
    parts: list[str] = []
    for sweep in dict.fromkeys(curve.sweep for curve in summary.sweeps):
        curves = [curve for curve in summary.sweeps if curve.sweep == sweep]
        values = sorted({value for curve in curves for value in curve.estimates})
        rows = [[curve.encoder, *(_at(curve, value) for value in values)] for curve in curves]
        parts.append(
            markdown_table(
                [f"{sweep} (`{curves[0].over}`)", *(f"{value:g}" for value in values)], rows, numbers_right=True
            )
        )
    return "\n\n".join(parts)


def _at(curve: SweepCurve, value: float) -> str:
    return estimate_text(curve.estimates[value]) if value in curve.estimates else ""


def predictions_markdown(summary: Summary) -> str:
    """Format a table for each property and part, with a row for each predictor; empty without predictions."""
    tables: list[str] = []
    for name in dict.fromkeys(one.property_name for one in summary.predictions):
        own = [one for one in summary.predictions if one.property_name == name]
        tables += [
            _property_table(name, part, own) for part in PARTS if any(f"{part}/loss" in one.metrics for one in own)
        ]
    return "\n\n".join(tables)


def _property_table(name: str, part: str, predictions: Sequence[Prediction]) -> str:
    shown = [metric for metric in _SCORES if any(f"{part}/{metric}" in one.metrics for one in predictions)]
    head = ["", "loss", *(_SCORES[metric] for metric in shown), "loss against the first", "lower in"]
    rows = [
        [one.name, *(_score_at(one, f"{part}/{metric}") for metric in ("loss", *shown)), *_compared(one, part)]
        for one in predictions
    ]
    return f"**{name}**, {PART_TITLES[part]}\n\n{markdown_table(head, rows, numbers_right=True)}"


def _score_at(prediction: Prediction, metric: str) -> str:
    return estimate_text(prediction.metrics[metric]) if metric in prediction.metrics else "-"


def _compared(prediction: Prediction, part: str) -> list[str]:
    comparison = prediction.comparisons.get(part)
    if comparison is None:
        return ["", ""]
    return [f"{comparison.difference.mean:+.4f}", f"{comparison.lower} of {len(comparison.difference.points)}"]


def correlations_markdown(summary: Summary) -> str:
    """Format Table 11, correlations of pre-training and frozen prediction losses; empty for too few predictions."""
    if not summary.correlations:
        return ""
    family = summary.study.zoo.family
    rows: list[list[str]] = []
    for one in summary.correlations:
        pearson = one.correlation
        low, high = pearson.interval
        value = paper.CORRELATIONS.get((family, one.property_name), {}).get(one.part)
        text = f"{pearson.r:.3f} ({low:.3f}, {high:.3f})"
        paper_text = "" if value is None else f"{value:.3f}"
        rows.append([one.property_name, PART_TITLES[one.part], text, f"{pearson.num_points}", paper_text])
    head = ["pre-training loss and loss of predicting", "", "Pearson's r", "trainings", "paper"]
    return markdown_table(head, rows, numbers_right=True)


def origin_markdown(summary: Summary) -> str:
    """Format a table of the study's scale compared with the paper's, its hardware and its cost."""
    rows = list(summary.rows.values())
    zoo, original = rows[0].zoo["config"], ZOO_PRESETS["paper"]
    trained = [row for row in rows if row.seconds is not None]
    hours = sum(row.seconds or 0.0 for row in trained) / 3600
    steps = {row.config["num_steps"] for row in trained if row.setting == PRETRAIN}
    facts = [
        ("RNNs trained", f"{zoo['num_runs']:,}", f"{original.num_runs:,}"),
        ("updates of each", f"{zoo['num_steps']:,}", f"{original.num_steps:,}"),
        ("updates in pre-training", _one_or_range(sorted(steps)), "100,000"),
        ("seeds", f"{len(summary.study.seeds)}", f"{paper.SEEDS}"),
        ("pieces done", f"{len(trained)} of {len(trained) + len(summary.missing)}", ""),
        ("hours of all pieces", f"{hours:.1f}", ""),
        ("commits", _values(row.provenance.get("commit") for row in rows), ""),
        ("processors", _values(row.hardware.get("processor") for row in rows), ""),
        ("builds of the zoo", _values(row.build for row in rows), ""),
        ("devices", _values(row.hardware.get("device") for row in rows), ""),
    ]
    return markdown_table(["", "here", "paper"], facts, numbers_right=True)


def _one_or_range(numbers: Sequence[int]) -> str:
    return "" if not numbers else f"{numbers[0]:,}" + (f" to {numbers[-1]:,}" if len(numbers) > 1 else "")


def _values(values: Iterable[Any]) -> str:
    found = dict.fromkeys(str(value) for value in values if value is not None)
    return ", ".join(found) or "unknown"


def _count(estimate: Estimate) -> int:
    return len(estimate.points)
