"""Plotly figures whose colours come from a template.

A figure holds data and layout. The colours of text, grid and series come from a template, one for light and one for
dark pages, so a page can switch between them without rebuilding a figure, and the same figure suits a notebook.
Categories other than series (the offsets of languages) have mid-tone colours that are distinguishable on both
backgrounds, in an order that is robust to the common kinds of colour blindness.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from rnn2vec.inspection.performance import PerformanceComparison

Scheme = Literal["light", "dark"]
Curves = Mapping[str, tuple[Sequence[int], Sequence[float]]]
"""Numbers of updates and the distance after each, by the name in the legend."""


@dataclass(frozen=True)
class Palette:
    """The colours of one scheme, as CSS colours."""

    ground: str
    """Background."""
    ink: str
    """Text."""
    faint: str
    """Secondary text, and reference lines."""
    grid: str
    """Grid lines."""
    series: tuple[str, ...]
    """Encoders, in the order of the report: interactive probing, static probing, task-blind."""
    scale: tuple[str, ...]
    """Sequential colour scale, from the smallest to the largest value."""


PALETTES: dict[Scheme, Palette] = {
    "light": Palette(
        ground="#fdfcfa",
        ink="#1f2328",
        faint="#656b73",
        grid="#e4e2dd",
        series=("#1f6fb8", "#c2560c", "#7b7f86"),
        scale=("#cfd9e2", "#7fb0d3", "#2f7fbd", "#0c3f78"),
    ),
    "dark": Palette(
        ground="#15181c",
        ink="#e7e5e1",
        faint="#9aa1a9",
        grid="#2c3138",
        series=("#5aaceb", "#ee8f47", "#9aa1a9"),
        scale=("#38424d", "#3f6f96", "#5aaceb", "#d4ecff"),
    ),
}

CATEGORY_COLOURS = ("#5468dc", "#1592c4", "#159a76", "#b08d12", "#e0701f", "#cf3579")
"""Colours of up to six ordered categories, for light and dark backgrounds."""

_FAR = 1.3
"""Largest ratio of the floor to the highest curve at which the floor is drawn."""
_FLOOR_COLOUR = "#84898f"
_MARGIN = {"l": 8, "r": 8, "t": 8, "b": 8}


def template(scheme: Scheme) -> go.layout.Template:
    """Build the plotly template of a scheme."""
    palette = PALETTES[scheme]
    axis = {
        "gridcolor": palette.grid,
        "linecolor": palette.grid,
        "zeroline": False,
        "automargin": True,
        "ticks": "",
        "title": {"standoff": 8, "font": {"size": 13}},
    }
    steps = len(palette.scale) - 1
    return go.layout.Template(
        layout={
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"color": palette.ink, "family": "system-ui, sans-serif", "size": 13},
            "colorway": palette.series,
            "colorscale": {"sequential": [[i / steps, colour] for i, colour in enumerate(palette.scale)]},
            "hoverlabel": {"bgcolor": palette.ground, "bordercolor": palette.grid, "font": {"color": palette.ink}},
            "shapedefaults": {"line": {"color": palette.faint, "width": 1.5, "dash": "dash"}},
            "xaxis": axis,
            "yaxis": axis,
            "margin": _MARGIN,
        }
    )


def learning_curves(curves: Curves, floor: float | None) -> go.Figure:
    """Plot the distance on unseen tasks against the number of updates.

    Args:
        curves: curves in the order of the palette's series.
        floor: closed-form floor, drawn as a dashed line unless it is far above the curves; None for no floor.
    """
    figure = go.Figure()
    for name, (steps, values) in curves.items():
        hover = f"{name}<br>%{{x:,}} updates: %{{y:.4f}}<extra></extra>"
        figure.add_scatter(
            x=list(steps), y=list(values), name=name, mode="lines+markers", marker={"size": 6}, hovertemplate=hover
        )
    top = _highest(curves)
    if floor is not None:
        _add_floor(figure, floor, curves)
        top = top if _is_far(floor, curves) else max(top, floor)
    figure.update_layout(
        template=template("light"),
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        xaxis={"title": {"text": "updates"}, "rangemode": "tozero"},
        yaxis={"title": {"text": "total variation"}, "range": [0, 1.08 * top or 1.0]},
    )
    return figure


def floor_name(floor: float, curves: Curves) -> str:
    """Name the closed-form floor in the legend of these curves, with a remark if it is too far above to be drawn."""
    return f"closed-form floor {floor:.3f}" + (", far above" if _is_far(floor, curves) else "")


def _add_floor(figure: go.Figure, floor: float, curves: Curves) -> None:
    """Add the floor as a dashed line, or only as a legend entry where the line would compress the curves."""
    ends = (0, max((max(steps, default=1) for steps, _ in curves.values()), default=1))
    is_far = _is_far(floor, curves)
    figure.add_scatter(
        x=[None] if is_far else list(ends),
        y=[None] if is_far else [floor, floor],
        name=floor_name(floor, curves),
        mode="lines",
        line={"dash": "dash", "color": _FLOOR_COLOUR, "width": 1.5},
        hovertemplate=f"closed-form floor: {floor:.4f}<extra></extra>",
    )


def _is_far(floor: float, curves: Curves) -> bool:
    return floor > _FAR * _highest(curves) > 0


def _highest(curves: Curves) -> float:
    return max((value for _, values in curves.values() for value in values), default=0.0)


def map_of(
    coordinates: Float[np.ndarray, "N 2"],
    values: Float[np.ndarray, " N"],
    hover: Sequence[str],
    *,
    limits: tuple[float, float],
    categories: Sequence[float] | None = None,
) -> go.Figure:
    """Plot a map of representations: a dot for each RNN, coloured by one quantity.

    Args:
        coordinates: position of each RNN on the map.
        values: quantity that determines each dot's colour.
        hover: hover text of each dot.
        limits: values of the first and of the last colour of the scale.
        categories: all values of a quantity that takes only a few, to give each its own colour; None for a scale.
    """
    marker: dict[str, Any] = {"size": 6, "opacity": 0.85, "color": values.tolist(), "coloraxis": "coloraxis"}
    colour_axis: dict[str, Any] = {"cmin": limits[0], "cmax": limits[1], "showscale": False}
    if categories is not None:
        marker = {"size": 6, "opacity": 0.85, "color": [category_colour(value, categories) for value in values]}
        colour_axis = {"showscale": False}
    figure = go.Figure(
        go.Scatter(
            x=coordinates[:, 0].round(4).tolist(),
            y=coordinates[:, 1].round(4).tolist(),
            mode="markers",
            marker=marker,
            hovertext=list(hover),
            hovertemplate="%{hovertext}<extra></extra>",
        )
    )
    blank = {"showticklabels": False, "showgrid": False, "title": {"text": ""}}
    figure.update_layout(
        template=template("light"),
        coloraxis=colour_axis,
        xaxis=blank,
        yaxis={**blank, "scaleanchor": "x"},
        margin={"l": 4, "r": 4, "t": 4, "b": 4},
    )
    return figure


def category_colour(value: float, categories: Sequence[float]) -> str:
    """Return the colour of a category; a few categories are spread over all colours."""
    place = sorted(categories).index(value)
    last = len(CATEGORY_COLOURS) - 1
    return CATEGORY_COLOURS[round(place * last / max(last, len(categories) - 1))]


def performance(comparison: PerformanceComparison, hover: Sequence[str], *, series: int) -> go.Figure:
    """Plot the performance of emulations against that of their RNNs, with the diagonal of equality.

    Args:
        comparison: both performances.
        hover: hover text of each RNN.
        series: index of the dots' colour in the palette's series.
    """
    figure = go.Figure()
    for _ in range(series):  # plotly assigns colours in order: empty traces use up the previous ones
        figure.add_scatter(x=[None], y=[None], showlegend=False, hoverinfo="skip")
    figure.add_scatter(
        x=comparison.rnn.round(4).tolist(),
        y=comparison.emulation.round(4).tolist(),
        mode="markers",
        marker={"size": 6, "opacity": 0.55},
        hovertext=list(hover),
        hovertemplate="%{hovertext}<br>network %{x:.2f}, emulation %{y:.2f}<extra></extra>",
        showlegend=False,
    )
    figure.add_shape(type="line", x0=0, y0=0, x1=1, y1=1, layer="below")
    shown = [-0.04, 1.04]
    figure.update_layout(
        template=template("light"),
        xaxis={"title": {"text": "the network's performance"}, "range": shown, "dtick": 0.25},
        yaxis={"title": {"text": "its emulation's"}, "range": shown, "dtick": 0.25, "scaleanchor": "x"},
    )
    return figure
