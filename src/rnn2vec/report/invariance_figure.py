"""The figure of the paper's Appendix F.2: movement of each encoder under each change of the weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from rnn2vec.experiments.invariance import Movement
from rnn2vec.report.files import STYLE, save_svg

_STYLE: dict[Any, Any] = {**STYLE, "axes.grid": False}  # the cells already form a grid


def draw_invariance(tables: Mapping[str, Mapping[str, Mapping[str, Movement]]], path: Path) -> None:
    """Draw a panel for each table, such as untrained and trained: rows are encoders, columns changes, dark is unmoved.

    Args:
        tables: results of `rnn2vec.experiments.invariance.invariance_table` by the panel's title.
        path: SVG file to write.

    Raises:
        StorageError: if the file cannot be written.
    """
    rows = [len(table) for table in tables.values()]
    with rc_context(_STYLE):
        figure = Figure(figsize=(7.6, 0.34 * sum(rows) + 0.45 * len(rows) + 1.0))
        panels = figure.subplots(len(rows), 1, sharex=True, squeeze=False, height_ratios=rows)[:, 0]
        for panel, (title, table) in zip(panels, tables.items(), strict=True):
            names = list(next(iter(table.values())))
            shares = np.array([[movement.median for movement in row.values()] for row in table.values()])
            panel.imshow(np.clip(shares, 0, 1), cmap="cividis", vmin=0, vmax=1, aspect="auto")
            for (row, column), share in np.ndenumerate(shares):
                unmoved = list(table.values())[row][names[column]].is_unmoved
                text = "unmoved" if unmoved else f"{share:.2f}"
                panel.text(column, row, text, ha="center", va="center", fontsize=7.5, color=_ink_on(share))
            panel.set_yticks(range(len(table)), list(table))
            panel.set_xticks(range(len(names)), [name.replace(" ", "\n") for name in names], fontsize=8)
            panel.set_title(title, fontsize=10, loc="left")
            panel.tick_params(length=0)
            panel.spines[:].set_visible(False)
        figure.tight_layout()
        save_svg(figure, path)


def _ink_on(share: float) -> str:
    """Choose white text on the dark half of the scale and black text on the bright half."""
    return "#ffffff" if share < 0.55 else "#111111"
