"""Rotation and tiling as one index map: which pixel of an image feeds which input at which step.

Nearest-neighbour rotation moves pixels and never mixes them, so a rotated, tiled image is the image read in another
order. One map per angle replaces sixty thousand rotated images, and a backend gathers through it as it trains.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int32


def rotation_map(side: int, degrees: float) -> Int32[np.ndarray, "S S"]:
    """Compute the source of each pixel of a rotated square image.

    Args:
        side: number of rows and columns of the image, S.
        degrees: angle of the rotation, counter-clockwise about the centre.

    Returns:
        Numbers of the source pixels, row by row; `side * side` for pixels outside the original image.
    """
    centre = (side - 1) / 2
    down, right = np.mgrid[:side, :side] - centre
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    columns = np.floor(centre + cosine * right - sine * down + 0.5).astype(np.int32)
    rows = np.floor(centre + sine * right + cosine * down + 0.5).astype(np.int32)
    inside = (rows >= 0) & (rows < side) & (columns >= 0) & (columns < side)
    return np.where(inside, rows * side + columns, side * side).astype(np.int32)


def tile_map(pixels: Int32[np.ndarray, "S S"], tile_size: int) -> Int32[np.ndarray, "T I"]:
    """Arrange the pixels of a square image as a sequence of square tiles, row by row, and row by row within each.

    The first tile is BOS: `S * S + 1` everywhere, an input of 0 (see `tasks.base.FrameExamples`).
    """
    side = len(pixels)
    count = side // tile_size
    tiles = pixels.reshape(count, tile_size, count, tile_size).swapaxes(1, 2).reshape(count * count, tile_size**2)
    blank = np.full((1, tile_size**2), side * side + 1, dtype=np.int32)
    return np.concatenate([blank, tiles])
