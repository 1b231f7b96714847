"""A study as Markdown: for the terminal, and for the documentation beside its figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from rnn2vec.experiments.study.config import PRETRAIN
from rnn2vec.experiments.study.statistics import Estimate
from rnn2vec.experiments.study.summary import Group, Summary, SweepCurve
from rnn2vec.report.markdown import markdown_table
from rnn2vec.zoo.config import PRESETS as ZOO_PRESETS

PAPER_SEEDS = 15
PAPER_LOSSES: dict[str, dict[str, str]] = {
    "formal-languages": {
        "layerwise-statistics": "0.048 (0.048, 0.049)",
        "flattened-weights": "0.045 (0.045, 0.046)",
        "parameter-transformer": "0.043 (0.042, 0.044)",
        "dwsnet": "0.046 (0.046, 0.046)",
        "noninteractive-probing": "0.023 (0.019, 0.029)",
        "interactive-probing": "0.015 (0.008, 0.022)",
    },
    "tiled-mnist": {
        "layerwise-statistics": "0.041 (0.040, 0.042)",
        "flattened-weights": "0.024 (0.024, 0.024)",
        "parameter-transformer": "0.067 (0.067, 0.067)",
        "dwsnet": "0.024 (0.023, 0.025)",
        "noninteractive-probing": "0.017 (0.016, 0.017)",
        "interactive-probing": "0.017 (0.017, 0.018)",
    },
}
"""Table 2 of the paper: validation loss after self-supervised pre-training, 15 seeds, by family and encoder."""


def losses_markdown(summary: Summary) -> str:
    """How low each group gets, beside the task-blind floor and the paper's numbers.

    Args:
        summary: of a study.
    """
    metric = summary.metric.replace("-", " ")
    family = next(iter(summary.rows.values())).zoo["config"]["family"]
    paper = PAPER_LOSSES.get(family, {})
    head = [
        "encoder",
        "variant",
        "seeds",
        f"{metric}, unseen tasks",
        "their last snapshots",
        "left the plateau",
        "at step (median)",
        "clearly below the floor",
        "paper",
    ]
    rows = [[*_group_cells(group), paper.get(group.encoder, "")] for group in summary.groups]
    return f"{floor_in_words(summary)}\n\n{markdown_table(head, rows, numbers_right=True)}"


def floor_in_words(summary: Summary) -> str:
    """The floor, and what counts as below it."""
    floor = summary.floor
    if floor.value is None or floor.plateau is None:
        return "The task-blind floor was not measured."
    parts = {"closed form": floor.closed_form, "an emulator that sees no RNN": floor.trained}
    known = ", ".join(f"{name} {value:.4f}" for name, value in parts.items() if value is not None)
    return (
        f"Task-blind floor: **{floor.value:.4f}** ({known}). A training has left the plateau once its validation is "
        f"below {floor.plateau:.4f}, 10 % under the floor; *clearly below* asks the same of the kept model with a "
        "bootstrap over the unseen tasks."
    )


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
    """Mean and interval; below 8 numbers the numbers themselves, as nothing is claimed of them."""
    if estimate.interval is not None:
        low, high = estimate.interval
        return f"{estimate.mean:.4f} ({low:.4f}, {high:.4f})"
    return " ".join(f"{point:.4f}" for point in estimate.points)


def comparisons_markdown(summary: Summary) -> str:
    """Each group against the first, seed by seed; empty where there is but one.

    Args:
        summary: of a study.
    """
    if not summary.comparisons:
        return ""
    rows = [
        [name, estimate_text(one.difference), f"{one.difference.mean:+.4f}", f"{one.lower} of {_count(one.difference)}"]
        for name, one in summary.comparisons.items()
    ]
    head = [f"against {summary.groups[0].name}", "difference, seed by seed", "mean", "lower in"]
    return markdown_table(head, rows, numbers_right=True)


def sweeps_markdown(summary: Summary) -> str:
    """A table for each sweep: a row for each encoder, a column for each value.

    Args:
        summary: of a study.
    """
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


def origin_markdown(summary: Summary) -> str:
    """What was trained where and how long, and how far it is scaled down from the paper.

    Args:
        summary: of a study.
    """
    rows = list(summary.rows.values())
    zoo, paper = rows[0].zoo["config"], ZOO_PRESETS["paper"]
    trained = [row for row in rows if row.seconds is not None]
    hours = sum(row.seconds or 0.0 for row in trained) / 3600
    steps = {row.config["num_steps"] for row in trained if row.setting == PRETRAIN}
    facts = [
        ("RNNs trained", f"{zoo['num_runs']:,}", f"{paper.num_runs:,}"),
        ("updates of each", f"{zoo['num_steps']:,}", f"{paper.num_steps:,}"),
        ("updates in pre-training", _one_or_range(sorted(steps)), "100,000"),
        ("seeds", f"{len(summary.study.seeds)}", f"{PAPER_SEEDS}"),
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
