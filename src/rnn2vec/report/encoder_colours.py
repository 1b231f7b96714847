"""A colour for each encoder, the same in every figure.

Okabe and Ito's palette, which readers with the common kinds of colour blindness can tell apart; its yellow is left
out, as it is too faint on white paper.
"""

from __future__ import annotations

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
