"""Style of static figures, and writing them to files.

Figures for the documentation are drawn with matplotlib and saved as SVG with selectable text, since plotly's pages need
a browser that runs them. The same results give the same bytes.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from rnn2vec._files import write_atomically
from rnn2vec.report.figures import PALETTES

LOOK = PALETTES["light"]
"""Palette of static figures."""
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "rnn2vec",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "figure.facecolor": LOOK.ground,
    "axes.facecolor": LOOK.ground,
    "axes.edgecolor": LOOK.grid,
    "axes.labelcolor": LOOK.ink,
    "axes.grid": True,
    "grid.color": LOOK.grid,
    "grid.linewidth": 0.6,
    "text.color": LOOK.ink,
    "xtick.color": LOOK.faint,
    "ytick.color": LOOK.faint,
    "xtick.minor.visible": False,
    "ytick.minor.visible": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
"""Style for `matplotlib.rc_context`."""


def save_svg(figure: Figure, path: Path) -> None:
    """Write a figure as SVG, atomically.

    Raises:
        StorageError: if the file cannot be written.
    """
    write_atomically(path, svg_bytes(figure))


def svg_bytes(figure: Figure) -> bytes:
    """Return a figure as SVG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return b"\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + b"\n"


_COLOURS = {
    "interactive-probing": "#0072b2",
    "noninteractive-probing": "#d55e00",
    "dwsnet": "#009e73",
    "parameter-transformer": "#cc79a7",
    "flattened-weights": "#56b4e9",
    "layerwise-statistics": "#e69f00",
    "dwsnet-complete": "#004d3a",
}
_OTHER = "#7b7f86"

PALETTE = (*_COLOURS.values(), _OTHER)
"""Colours for things that are no encoders, in order."""


def colour_of(encoder: str) -> str:
    """Return the colour of an encoder; grey for bounds, baselines and encoders from elsewhere."""
    return _COLOURS.get(encoder, _OTHER)
