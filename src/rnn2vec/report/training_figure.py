"""A static figure of a zoo's training: performance and losses by number of updates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnn2vec._errors import DataError
from rnn2vec.report.files import LOOK, STYLE, save_svg
from rnn2vec.zoo.store import Zoo

_MOST_LINES = 60
"""Maximum number of runs drawn individually."""


def draw_training(zoo: Zoo, path: Path) -> None:
    """Draw performance, and training and validation loss, against the number of updates.

    Thin lines are the first 60 runs, thick lines the mean of all runs, and bands the range from the 5th to the 95th
    percentile.

    Args:
        zoo: zoo whose runs all have the same snapshot steps.
        path: SVG file to write.

    Raises:
        DataError: if a run lacks a snapshot.
        StorageError: if the file cannot be written.
    """
    steps = np.unique(zoo.column("step"))
    with rc_context(STYLE):
        figure = Figure(figsize=(8.4, 3.4))
        left, right = figure.subplots(1, 2)
        _draw(left, _by_run(zoo, "performance"), LOOK.series[0], "mean of all runs")
        left.set(ylabel="performance", ylim=(0, 1.02), title=_title(zoo))
        for name, colour in (("train", LOOK.series[1]), ("validation", LOOK.series[0])):
            _draw(right, _by_run(zoo, f"{name}_loss"), colour, f"{name} loss")
        right.set(ylabel="loss (nats)", ylim=(0, None))
        for panel in (left, right):
            panel.set_xticks(range(len(steps)), [f"{step:,}" for step in steps], fontsize=8)
            panel.set(xlabel="updates")
            panel.legend(frameon=False)
        figure.tight_layout()
        save_svg(figure, path)


def _title(zoo: Zoo) -> str:
    runs = len(np.unique(zoo.column("run")))
    return f"{zoo.family.name}, {runs:,} run{'' if runs == 1 else 's'}"


def _by_run(zoo: Zoo, name: str) -> Float[np.ndarray, "M S"]:
    """Arrange a property by run (M) and snapshot step (S)."""
    order = np.lexsort((zoo.column("step"), zoo.column("run")))
    num_steps = len(np.unique(zoo.column("step")))
    runs, counts = np.unique(zoo.column("run"), return_counts=True)
    if (counts != num_steps).any():
        odd = int(runs[counts != num_steps][0])
        raise DataError(
            f"{zoo.folder}: run {odd} has {counts[counts != num_steps][0]} of {num_steps} snapshots, so its training "
            "curve is incomplete",
            remedy="draw a zoo that has all snapshots of its runs, that is, one that was not filtered by step.",
        )
    return zoo.column(name)[order].reshape(-1, num_steps).astype(float)


def _draw(panel: Axes, values: Float[np.ndarray, "M S"], colour: str, name: str) -> None:
    """Draw the curves of the runs, with snapshots evenly spaced regardless of the updates between them."""
    places = np.arange(values.shape[1])
    for run in values[:_MOST_LINES]:
        panel.plot(places, run, color=colour, alpha=0.18, linewidth=0.7)
    low, high = np.nanpercentile(values, [5, 95], axis=0)
    panel.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)
    panel.plot(places, np.nanmean(values, axis=0), color=colour, linewidth=2, marker="o", markersize=3.5, label=name)
