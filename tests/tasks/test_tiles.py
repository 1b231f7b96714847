"""Rotating and tiling through an index map, against Pillow and against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rnn2vec.tasks.tiled_mnist import rotation_map, tile_map

SIDE = 28
NUMBERED = np.arange(SIDE * SIDE, dtype=np.int32).reshape(SIDE, SIDE)


def _by_pillow(degrees: float) -> np.ndarray:
    """Where each pixel comes from, by rotating an image whose pixels are their own numbers plus 1."""
    rotated = np.asarray(Image.fromarray(NUMBERED + 1).rotate(degrees, resample=Image.Resampling.NEAREST))
    return np.where(rotated == 0, SIDE * SIDE, rotated - 1)


def _margin(degrees: float) -> np.ndarray:
    """How far each pixel's source is from the border between two pixels."""
    down, right = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    turned = np.exp(-1j * np.radians(degrees)) * (right - 1j * down)
    places = np.stack([turned.real, turned.imag])
    return np.abs(places - np.round(places)).min(axis=0)


@given(st.floats(0, 360, exclude_max=True))
def test_it_rotates_as_pillow_does(degrees: float) -> None:
    """Pillow counts in steps of 2^-16: only sources nearer to a border than its error may differ."""
    different = rotation_map(SIDE, degrees) != _by_pillow(degrees)
    assert (_margin(degrees)[different] < 1e-3).all()
    assert different.mean() < 0.02


@pytest.mark.parametrize("degrees", [17.3, 133.7, 200.2, 311.9, 359.5])
def test_at_usual_angles_every_pixel_is_pillows(degrees: float) -> None:
    assert (rotation_map(SIDE, degrees) == _by_pillow(degrees)).all()


@pytest.mark.parametrize("quarters", range(4))
def test_quarter_turns_are_counter_clockwise_and_lose_nothing(quarters: int) -> None:
    assert (rotation_map(SIDE, 90.0 * quarters) == np.rot90(NUMBERED, quarters)).all()


def test_the_corners_turn_out_of_the_image() -> None:
    rotated = rotation_map(SIDE, 45.0)
    outside = rotated == SIDE * SIDE
    assert outside[0, 0]
    assert outside[-1, -1]
    assert not outside[SIDE // 2, SIDE // 2]
    assert 0.1 < outside.mean() < 0.25


@pytest.mark.parametrize("size", [1, 2, 4, 7, 14, 28])
def test_tiles_come_row_by_row_after_a_blank_one(size: int) -> None:
    tiles = tile_map(NUMBERED, size)
    assert tiles.dtype == np.int32
    assert tiles.shape == ((SIDE // size) ** 2 + 1, size * size)
    assert (tiles[0] == SIDE * SIDE + 1).all()
    expected = [
        NUMBERED[row : row + size, column : column + size].ravel()
        for row in range(0, SIDE, size)
        for column in range(0, SIDE, size)
    ]
    assert (tiles[1:] == np.stack(expected)).all()
