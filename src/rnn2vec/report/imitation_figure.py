"""The paper's Figure 5: the performance of each RNN and of its emulation, as a figure and as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from rnn2vec.experiments.imitation import Imitation
from rnn2vec.report.files import LOOK, STYLE, save_svg
from rnn2vec.report.text import markdown_table, number_text

_LIMITS = (-0.04, 1.04)


def draw_imitations(imitations: Mapping[str, Imitation], path: Path) -> None:
    """Draw a panel for each run with a dot for each RNN, coloured by its number of updates, and the diagonal.

    Args:
        imitations: imitations by the name of their run; the parts in which the names differ are the panels' titles.
        path: SVG file to write.

    Raises:
        StorageError: if the file cannot be written.
    """
    steps = np.unique(np.concatenate([one.steps for one in imitations.values()]))
    with rc_context(STYLE):
        figure = Figure(figsize=(3.1 * len(imitations) + 1.0, 3.8), layout="constrained")
        panels = figure.subplots(1, len(imitations), sharey=True, squeeze=False)[0]
        colours = ListedColormap(_colours(len(steps)))
        for panel, title, one in zip(panels, _distinct_parts(imitations), imitations.values(), strict=True):
            panel.plot([0, 1], [0, 1], color=LOOK.faint, linewidth=1, linestyle=(0, (4, 3)))
            panel.scatter(
                one.performance.rnn,
                one.performance.emulation,
                c=np.searchsorted(steps, one.steps),
                cmap=colours,
                vmin=-0.5,
                vmax=len(steps) - 0.5,
                s=14,
                alpha=0.75,
                linewidths=0,
                zorder=2,  # above the grid, as lines are
            )
            panel.set_title(f"{title}\nR² = {number_text(one.performance.r_squared)}", fontsize=9.5, loc="left")
            panel.set(xlim=_LIMITS, ylim=_LIMITS, aspect="equal", xlabel="performance of the RNN")
        panels[0].set_ylabel("performance of its emulation")
        for place, step in enumerate(steps):
            panels[-1].scatter([], [], color=colours(place), s=20, label=f"{step:,}")
        panels[-1].legend(title="updates", loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
        save_svg(figure, path)


def _distinct_parts(names: Iterable[str]) -> list[str]:
    """Remove the dot-separated parts that all names share, as the names of a study's runs do."""
    parts = [name.split(".") for name in names]
    shared = set(parts[0]).intersection(*parts[1:]) if len(parts) > 1 else set[str]()
    return [" ".join(part for part in name if part not in shared) for name in parts]


def imitation_markdown(imitations: Mapping[str, Mapping[str, Imitation]]) -> str:
    """Format a table for each split, with a row for each run.

    Args:
        imitations: imitations by split and name of the run.
    """
    parts: list[str] = []
    for split, runs in imitations.items():
        head = ["", "R²", "95 % over tasks", "mean difference", "last snapshots", "RNNs' performance", "emulations'"]
        rows = [[name, *_row(one)] for name, one in runs.items()]
        some = next(iter(runs.values()))
        parts.append(
            f"**{split}**, {len(some.steps):,} RNNs, {some.performance.num_episodes:,} episodes each\n\n"
            f"{markdown_table(head, rows)}\n"
        )
    return "\n".join(parts)


def _row(one: Imitation) -> list[str]:
    numbers = one.to_dict()
    interval = numbers["interval"]
    return [
        number_text(numbers["r_squared"]),
        "-" if interval is None else f"{number_text(interval[0])} .. {number_text(interval[1])}",
        number_text(numbers["mean_difference"]),
        number_text(numbers["last_mean_difference"]),
        number_text(numbers["mean_performance"]["rnn"]),
        number_text(numbers["mean_performance"]["emulation"]),
    ]


def _colours(count: int) -> list[tuple[float, ...]]:
    """List colours from bright (hardly trained) to dark."""
    return [tuple(map(float, colormaps["viridis_r"](place))) for place in np.linspace(0.08, 1, count)]
