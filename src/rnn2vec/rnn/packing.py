"""The layout of matrices in the memory of compiled kernels: panels of a few columns each (see `kernels.panels`).

Padding is with zeros: columns up to a whole panel, and in weights the outputs of each gate and each part of the inputs
separately.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

WIDTH = 16
"""Columns of a panel; `kernels.panels`, which needs Numba, has the same."""


@dataclass(frozen=True)
class Layer:
    """A linear layer, or the gates of a recurrent one, as kernels see its weight."""

    size: int
    """Outputs, of each gate."""
    parts: tuple[int, ...]
    """Inputs; of a recurrent layer those from below and its own hidden vector."""
    gates: int = 1
    """Gates."""

    @property
    def rows(self) -> int:
        """Outputs with padding."""
        return self.gates * rounded(self.size)

    @property
    def columns(self) -> int:
        """Inputs with padding."""
        return sum(map(rounded, self.parts))

    def there(self, weight: Float[Tensor, "G K"]) -> Float[Tensor, " size"]:
        """Return a weight for the way there: its transpose in panels."""
        return self._padded(weight).view(-1, WIDTH, self.columns).transpose(1, 2).flatten()

    def back(self, weight: Float[Tensor, "G K"]) -> Float[Tensor, " size"]:
        """Return a weight for the way back: itself in panels."""
        return self._padded(weight).view(self.rows, -1, WIDTH).transpose(0, 1).flatten()

    def bias(self, bias: Float[Tensor, " G"]) -> Float[Tensor, " size"]:
        """Return a bias, padded."""
        return padded(bias.view(self.gates, self.size)).flatten()

    def weight_of(self, panels: Float[Tensor, " size"]) -> Float[Tensor, "G K"]:
        """Return the weight that panels for the way there stand for, such as a gradient."""
        plain = panels.view(-1, self.columns, WIDTH).transpose(1, 2).reshape(self.gates, -1, self.columns)
        begins = [sum(map(rounded, self.parts[:place])) for place in range(len(self.parts))]
        cut = [plain[:, : self.size, begin : begin + part] for begin, part in zip(begins, self.parts, strict=True)]
        return torch.cat(cut, dim=-1).flatten(0, 1)

    def bias_of(self, padded_bias: Float[Tensor, " size"]) -> Float[Tensor, " G"]:
        """Return a bias without padding."""
        return padded_bias.view(self.gates, -1)[:, : self.size].flatten()

    def _padded(self, weight: Float[Tensor, "G K"]) -> Float[Tensor, "rows columns"]:
        columns = torch.cat([padded(part) for part in weight.split(self.parts, dim=1)], dim=1)
        rows = padded(columns.view(self.gates, self.size, -1).transpose(1, 2)).transpose(1, 2)
        return rows.reshape(self.rows, self.columns)


def rounded(size: int) -> int:
    """Return the columns of as many panels as `size` columns take."""
    return math.ceil(size / WIDTH) * WIDTH


def padded(matrix: Float[Tensor, "*any columns"]) -> Float[Tensor, "*any padded"]:
    """Return a matrix with columns of zeros up to whole panels."""
    return torch.nn.functional.pad(matrix, (0, rounded(matrix.shape[-1]) - matrix.shape[-1]))


def as_panels(matrices: Float[Tensor, "*any rows columns"]) -> Float[Tensor, "*any panels rows width"]:
    """Return matrices in panels."""
    return padded(matrices).unflatten(-1, (-1, WIDTH)).transpose(-3, -2).contiguous()


def of_panels(panels: Float[Tensor, "*any panels rows width"], columns: int) -> Float[Tensor, "*any rows columns"]:
    """Return matrices from their panels."""
    return panels.transpose(-3, -2).flatten(-2)[..., :columns]


def zeros_for(layers: Sequence[Layer]) -> list[Float[Tensor, " size"]]:
    """Return zeros for the gradients of weights and biases, layer by layer."""
    return [torch.zeros(size) for layer in layers for size in (layer.rows * layer.columns, layer.rows)]
