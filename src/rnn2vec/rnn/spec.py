"""The architecture of an RNN, without its weights."""

from __future__ import annotations

import dataclasses
import functools
import math
from dataclasses import dataclass
from typing import Any

from rnn2vec._errors import UsageError
from rnn2vec._registry import CELLS
from rnn2vec.rnn.cells.base import Cell

CellName = str
"""Name of a registered cell, such as `"lstm"`."""
TORCH_CELLS = ("lstm", "gru", "rnn_tanh", "rnn_relu")
"""Cells that `torch.nn` has too: the ones that checkpoints of PyTorch, Keras and ONNX hold."""
LARGEST_SIZE = 1_000_000
"""Features, hidden units or outputs of an RNN, at most."""
MOST_LAYERS = 256
"""Recurrent layers of an RNN, at most."""


@dataclass(frozen=True, kw_only=True)
class RNNSpec:
    """The architecture of an RNN: stacked recurrent layers of one cell under a linear readout.

    Examples:
        >>> spec = RNNSpec(cell="gru", input_size=4, hidden_size=8, num_layers=1, output_size=4)
        >>> spec.num_parameters
        372
        >>> str(spec)
        'gru 1x8, 4 inputs, 4 outputs'

    Raises:
        UsageError: an unknown cell, or a size below 1.
    """

    cell: CellName
    """Name of the cell, such as `"lstm"`, `"gru"`, `"rnn_tanh"`, `"rnn_relu"`, `"leaky"` or `"mingru"`."""
    input_size: int
    """Features of one input step."""
    hidden_size: int
    """Hidden units of each layer."""
    num_layers: int
    """Recurrent layers, at least 1."""
    output_size: int
    """Features of one output step: rows of the readout."""

    def __post_init__(self) -> None:
        _ = self.cell_type
        for field in ("input_size", "hidden_size", "num_layers", "output_size"):
            largest = MOST_LAYERS if field == "num_layers" else LARGEST_SIZE
            if not 1 <= getattr(self, field) <= largest:  # before memory is taken for what a file claims
                bound = "at least 1" if getattr(self, field) < 1 else f"at most {largest:,}"
                raise UsageError(f"{field}={getattr(self, field)} in an RNNSpec", remedy=f"give {bound}.")

    @functools.cached_property
    def cell_type(self) -> Cell:
        """The cell."""
        return CELLS[self.cell]

    @functools.cached_property
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each parameter of one RNN by PyTorch's name, in PyTorch's flat order.

        For a cell of PyTorch `rnn.weight_ih_l0`, `rnn.weight_hh_l0`, `rnn.bias_ih_l0`, `rnn.bias_hh_l0`, the same for
        the layers above, `readout.weight`, `readout.bias`.
        """
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in range(self.num_layers):
            inputs = self.hidden_size if layer else self.input_size
            own = self.cell_type.shapes(inputs, self.hidden_size)
            shapes |= {parameter_name(name, layer): shape for name, shape in own.items()}
        return {
            **shapes,
            "readout.weight": (self.output_size, self.hidden_size),
            "readout.bias": (self.output_size,),
        }

    @property
    def num_parameters(self) -> int:
        """Parameters of one RNN, P."""
        return sum(math.prod(shape) for shape in self.parameter_shapes.values())

    @property
    def num_gates(self) -> int:
        """Gates of the cell."""
        return len(self.cell_type.gates)

    def to_dict(self) -> dict[str, Any]:
        """Return the spec as JSON-ready values."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        return f"{self.cell} {self.num_layers}x{self.hidden_size}, {self.input_size} inputs, {self.output_size} outputs"


def parameter_name(name: str, layer: int) -> str:
    """Return PyTorch's full name of a parameter of a recurrent layer, such as `rnn.weight_ih_l0`."""
    return f"rnn.{name}_l{layer}"
