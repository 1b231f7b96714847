"""Figures: what is drawn, and that colours can be seen."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from rnn2vec.inspection.performance import PerformanceComparison
from rnn2vec.report import figures

CURVES = {"one": ([10, 20], [0.1, 0.05]), "two": ([10, 20], [0.12, 0.06])}


def _content(figure: Any) -> dict[str, Any]:
    return figure.to_plotly_json()


def test_each_encoder_has_a_curve() -> None:
    data = _content(figures.learning_curves(CURVES, None))["data"]
    assert [(trace["name"], list(trace["x"]), list(trace["y"])) for trace in data] == [
        (name, *curve) for name, curve in CURVES.items()
    ]


def test_the_floor_is_a_dashed_line_inside_the_figure() -> None:
    content = _content(figures.learning_curves(CURVES, 0.13))
    floor = content["data"][-1]
    assert (floor["name"], list(floor["y"]), floor["line"]["dash"]) == ("closed-form floor 0.130", [0.13, 0.13], "dash")
    assert content["layout"]["yaxis"]["range"][1] > 0.13


def test_a_floor_far_above_is_named_and_does_not_squash_the_curves() -> None:
    content = _content(figures.learning_curves(CURVES, 0.5))
    assert content["data"][-1]["name"] == "closed-form floor 0.500, far above"
    assert content["layout"]["yaxis"]["range"][1] < 0.15


@pytest.mark.parametrize("floor", [None, 0.1])
def test_a_run_without_a_validation_can_be_drawn(floor: float | None) -> None:
    content = _content(figures.learning_curves({"one": ([], [])}, floor))
    low, high = content["layout"]["yaxis"]["range"]
    assert low < high


def test_a_map_of_categories_gives_each_its_colour() -> None:
    categories = [-1.0, 0.0, 1.0]
    values = np.array([1.0, -1.0, 0.0, 1.0])
    figure = figures.map_of(np.zeros((4, 2)), values, ["w", "x", "y", "z"], limits=(-1.0, 1.0), categories=categories)
    colours = _content(figure)["data"][0]["marker"]["color"]
    assert colours == [figures.category_colour(value, categories) for value in values]
    assert colours[0] == colours[3]


def test_a_map_of_a_quantity_leaves_the_colours_to_the_template() -> None:
    figure = figures.map_of(np.zeros((2, 2)), np.array([0.0, 0.5]), ["x", "y"], limits=(0.0, 1.0))
    content = _content(figure)
    assert content["data"][0]["marker"]["color"] == [0.0, 0.5]
    assert (content["layout"]["coloraxis"]["cmin"], content["layout"]["coloraxis"]["cmax"]) == (0.0, 1.0)
    assert "colorscale" not in content["layout"]["coloraxis"]


def test_the_diagonal_is_drawn_and_dots_lie_where_they_should() -> None:
    comparison = PerformanceComparison(np.array([0.0, 1.0]), np.array([0.25, 0.75]), num_episodes=4)
    content = _content(figures.performance(comparison, ["x", "y"], series=1))
    dots = content["data"][-1]
    assert (dots["x"], dots["y"]) == ([0.0, 1.0], [0.25, 0.75])
    assert len(content["data"]) == 2  # one empty trace, so that the second series' colour comes
    (line,) = content["layout"]["shapes"]
    assert (line["x0"], line["y0"], line["x1"], line["y1"]) == (0, 0, 1, 1)


@pytest.mark.parametrize("count", range(1, 7))
def test_categories_are_told_apart(count: int) -> None:
    categories = [float(value) for value in range(count)]
    assert len({figures.category_colour(value, categories) for value in categories}) == count


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    """WCAG 2's contrast ratio, 1 to 21."""
    low, high = sorted([_luminance(one), _luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", figures.PALETTES.values(), ids=list(figures.PALETTES))
def test_text_and_dots_stand_out_from_the_ground(palette: figures.Palette) -> None:
    assert _contrast(palette.ink, palette.ground) >= 7
    assert _contrast(palette.faint, palette.ground) >= 4.5
    assert all(_contrast(colour, palette.ground) >= 3 for colour in palette.series)
    assert all(_contrast(colour, palette.ground) >= 2.9 for colour in figures.CATEGORY_COLOURS)


@pytest.mark.parametrize("palette", figures.PALETTES.values(), ids=list(figures.PALETTES))
def test_a_scale_moves_away_from_the_ground(palette: figures.Palette) -> None:
    contrasts = [_contrast(colour, palette.ground) for colour in palette.scale]
    assert all(low < high for low, high in itertools.pairwise(contrasts))
