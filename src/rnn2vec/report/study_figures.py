"""The figures of a study: learning curves, final losses beside the floor, sweeps, and property predictions.

Every seed is drawn, because a mean would hide the seeds that stay on the plateau.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from rnn2vec.experiments.statistics import Estimate
from rnn2vec.experiments.study.downstream import BASELINE, PARTS, Prediction
from rnn2vec.experiments.study.summary import Group, Summary, SweepCurve
from rnn2vec.report.files import LOOK, PALETTE, STYLE, save_svg
from rnn2vec.report.study_tables import PART_TITLES

_SETTING_COLOURS = {"frozen": PALETTE[0], "supervised": PALETTE[1], BASELINE: PALETTE[-1]}
_LINES = ("-", "--", ":")
_LARGEST_SPREAD = 0.12


def draw_study(summary: Summary, folder: Path) -> dict[str, str]:
    """Draw every figure for which the study has numbers.

    Args:
        summary: summary of a study.
        folder: folder of the SVG files.

    Returns:
        File names by title.
    """
    figures: dict[str, tuple[str, Callable[[Path], None]]] = {}
    if summary.groups:
        figures["Learning curves"] = ("curves.svg", lambda path: draw_curves(summary, path))
        figures["Losses of the kept models"] = ("losses.svg", lambda path: draw_losses(summary, path))
    if summary.sweeps:
        figures["Sweeps"] = ("sweeps.svg", lambda path: draw_sweeps(summary, path))
    if summary.predictions:
        figures["Predictions of properties"] = ("predictions.svg", lambda path: draw_predictions(summary, path))
    for name, draw in figures.values():
        draw(folder / name)
    return {title: name for title, (name, _) in figures.items()}


def draw_curves(summary: Summary, path: Path) -> None:
    """Draw the validation loss over updates: a thin line for each seed, a thick one for their median.

    Args:
        summary: summary of a study.
        path: SVG file to write.
    """

    def fill(panels: Sequence[Any]) -> None:
        panel = panels[0]
        for place, group in enumerate(summary.groups):
            look = {"color": PALETTE[place % len(PALETTE)], "linestyle": _LINES[place // len(PALETTE) % len(_LINES)]}
            curves = [_curve(group, number, summary.metric) for number in range(len(group.rows))]
            for steps, losses in curves:
                panel.plot(steps, losses, linewidth=0.7, alpha=0.45, **look)
            shared = min((steps for steps, _ in curves), key=len)  # early stopping ends some before others
            middle = np.median([losses[: len(shared)] for _, losses in curves], axis=0)
            panel.plot(shared, middle, linewidth=1.8, label=_label(summary, group), **look)
        _draw_floor(panel, summary, horizontal=True)
        panel.set_xlabel("updates")
        panel.set_ylabel(_axis_title(summary))
        panel.set_yscale("log")
        panel.yaxis.set_major_formatter("{x:g}")
        panel.yaxis.set_minor_formatter("{x:g}")
        panel.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))

    _draw(path, (7.6, 3.6), 1, fill)


def draw_losses(summary: Summary, path: Path) -> None:
    """Draw a row for each group: a dot for each seed, the mean with its interval, and the floor.

    Args:
        summary: summary of a study.
        path: SVG file to write.
    """

    def fill(panels: Sequence[Any]) -> None:
        panel = panels[0]
        _draw_floor(panel, summary, horizontal=False)
        colours = [PALETTE[place % len(PALETTE)] for place in range(len(summary.groups))]
        labels = [_label(summary, group) for group in summary.groups]
        _draw_estimates(panel, labels, [group.loss for group in summary.groups], colours)
        panel.set_xlabel(_axis_title(summary))
        if summary.floor.value is not None:
            panel.legend(fontsize=7, frameon=False, loc="best")

    _draw(path, (7.6, 0.34 * len(summary.groups) + 1.1), 1, fill)


def draw_sweeps(summary: Summary, path: Path) -> None:
    """Draw a panel for each sweep: the loss over the value that is varied (the paper's Figures 11 to 13).

    Args:
        summary: summary of a study.
        path: SVG file to write.
    """
    names = list(dict.fromkeys(curve.sweep for curve in summary.sweeps))
    encoders = list(dict.fromkeys(curve.encoder for curve in summary.sweeps))

    def fill(panels: Sequence[Any]) -> None:
        for panel, name in zip(panels, names, strict=True):
            for curve in summary.sweeps:
                if curve.sweep == name:
                    _draw_sweep(panel, curve, PALETTE[encoders.index(curve.encoder) % len(PALETTE)])
            _draw_floor(panel, summary, horizontal=True)
            panel.set_title(name, fontsize=9, loc="left")
            panel.set_xscale("log", base=2)
            values = sorted({value for curve in summary.sweeps if curve.sweep == name for value in curve.estimates})
            panel.set_xticks(values, [f"{value:g}" for value in values])
            panel.minorticks_off()
            panel.set_ylim(bottom=0)
        panels[0].set_ylabel(_axis_title(summary))
        panels[-1].legend(fontsize=7, frameon=False, loc="best")

    _draw(path, (2.6 * len(names) + 0.8, 3.0), len(names), fill)


def draw_predictions(summary: Summary, path: Path) -> None:
    """Draw the losses of predicting each property on unseen tasks and on the OOD test (the paper's Figures 8, 18, 19).

    Each property has a row of panels, with a line for each predictor and a colour for each setting.

    Args:
        summary: summary of a study with predictions.
        path: SVG file to write.
    """
    by_property: dict[str, list[Prediction]] = {}
    for one in summary.predictions:
        by_property.setdefault(one.property_name, []).append(one)
    lines = max(map(len, by_property.values()))

    def fill(panels: Sequence[Any]) -> None:
        for place, (name, predictions) in enumerate(by_property.items()):
            for panel, part in zip(panels[place * len(PARTS) :], PARTS, strict=False):
                labels = [one.name for one in predictions]
                losses = [one.metrics.get(f"{part}/loss") for one in predictions]
                _draw_estimates(panel, labels, losses, [_SETTING_COLOURS[one.setting] for one in predictions])
                panel.tick_params(axis="y", labelsize=7)
                panel.set_title(f"{name}, {PART_TITLES[part]}", fontsize=9, loc="left")
                panel.set_xlabel("loss")
            panels[place * len(PARTS) + 1].tick_params(labelleft=False)

    _draw(path, (7.6, (0.2 * lines + 0.9) * len(by_property)), len(PARTS), fill, rows=len(by_property))


def _draw_sweep(panel: Any, curve: SweepCurve, colour: str) -> None:
    values = list(curve.estimates)
    for value, estimate in curve.estimates.items():
        panel.plot([value] * len(estimate.points), estimate.points, "o", color=colour, markersize=3, alpha=0.5)
        if estimate.interval is not None:
            panel.plot([value, value], estimate.interval, color=colour, linewidth=1.4)
    means = [estimate.mean for estimate in curve.estimates.values()]
    panel.plot(values, means, color=colour, linewidth=1.4, label=curve.encoder)


def _draw_estimates(
    panel: Any, labels: Sequence[str], estimates: Sequence[Estimate | None], colours: Sequence[str]
) -> None:
    """Draw a row for each estimate, from the top; None leaves its row empty."""
    for place, (estimate, colour) in enumerate(zip(estimates, colours, strict=True)):
        if estimate is not None:
            _draw_estimate(panel, estimate, place, colour)
    panel.set_yticks(range(len(labels)), labels)
    panel.set_ylim(len(labels) - 0.5, -0.5)
    panel.set_xlim(left=0)


def _draw_estimate(panel: Any, estimate: Estimate, place: int, colour: str) -> None:
    count = len(estimate.points)
    offsets = np.linspace(-_LARGEST_SPREAD, _LARGEST_SPREAD, count) if count > 1 else np.zeros(1)
    panel.plot(estimate.points, place + offsets, "o", color=colour, markersize=3.5, alpha=0.6)
    if estimate.interval is not None:
        panel.plot(estimate.interval, [place, place], color=colour, linewidth=2)
        panel.plot([estimate.mean], [place], "|", color=colour, markersize=11, markeredgewidth=2)


def _draw_floor(panel: Any, summary: Summary, *, horizontal: bool) -> None:
    floor = summary.floor
    if floor.value is None or floor.plateau is None:
        return
    line = panel.axhline if horizontal else panel.axvline
    line(floor.value, color=LOOK.faint, linewidth=1, label="task-blind floor")
    line(floor.plateau, color=LOOK.faint, linewidth=1, linestyle=(0, (2, 2)), label="10 % below it")


def _curve(group: Group, number: int, metric: str) -> tuple[list[float], list[float]]:
    curve = group.rows[number].curve
    return curve["step"], curve[f"validation/{metric}"]


def _label(summary: Summary, group: Group) -> str:
    """Shorten a group's name: the encoder or variant is omitted if all groups share it."""
    encoders = {one.encoder for one in summary.groups}
    variants = {one.variant for one in summary.groups}
    if len(variants) == 1:
        return group.encoder
    return group.variant if len(encoders) == 1 else group.name


def _axis_title(summary: Summary) -> str:
    return f"{summary.metric.replace('-', ' ')}, unseen tasks"


def _draw(
    path: Path, size: tuple[float, float], columns: int, fill: Callable[[Sequence[Any]], None], *, rows: int = 1
) -> None:
    with rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        panels = list(figure.subplots(rows, columns, squeeze=False).flat)
        fill(panels)
        save_svg(figure, path)
