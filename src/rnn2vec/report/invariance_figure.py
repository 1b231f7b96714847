"""The figure of the paper's Appendix F.2: who is moved by which change of the weights.

A static picture for the documentation, hence matplotlib and SVG: plotly's pages need a browser to run them.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rnn2vec._files import write_atomically
from rnn2vec.analysis.invariance import Movement
from rnn2vec.report.figures import PALETTES

_LOOK = PALETTES["light"]
SVG_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "rnn2vec",  # the same results give the same file
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "figure.facecolor": _LOOK.ground,
    "axes.facecolor": _LOOK.ground,
    "text.color": _LOOK.ink,
    "axes.labelcolor": _LOOK.ink,
    "xtick.color": _LOOK.ink,
    "ytick.color": _LOOK.ink,
}
"""How matplotlib draws pictures for the documentation."""


def draw_invariance(tables: Mapping[str, Mapping[str, Mapping[str, Movement]]], path: Path) -> None:
    """A panel for each table (untrained, trained): rows are encoders, columns are changes, dark is unmoved.

    Args:
        tables: by the panel's title; each as `rnn2vec.analysis.invariance.invariance_table` makes it.
        path: the SVG to write.
    """
    from matplotlib import rc_context  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    rows = max(len(table) for table in tables.values())
    with rc_context(SVG_STYLE):
        figure = Figure(figsize=(7.6, len(tables) * (0.34 * rows + 0.45) + 1.0))
        panels = figure.subplots(len(tables), 1, sharex=True, squeeze=False)[:, 0]
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
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    write_atomically(path, buffer.getvalue())


def _ink_on(share: float) -> str:
    """White on the dark half of the scale, black on the bright one."""
    return "#ffffff" if share < 0.55 else "#111111"
