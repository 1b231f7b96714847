"""What an RNN looks like: its architecture, and nothing about its weights."""

from __future__ import annotations

import dataclasses
import functools
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from rnn2vec._errors import UsageError, unknown_name

CellName = Literal["lstm", "gru", "rnn_tanh", "rnn_relu"]
GATES: dict[CellName, int] = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}
"""Gates per cell, in PyTorch's order of the rows: LSTM i, f, g, o; GRU r, z, n."""


@dataclass(frozen=True, kw_only=True)
class RNNSpec:
    """The architecture of an RNN: stacked recurrent layers of one cell type under a linear readout.

    Raises:
        UsageError: an unknown cell, or a size below 1.
    """

    cell: CellName
    """`"lstm"`, `"gru"`, `"rnn_tanh"` or `"rnn_relu"`."""
    input_size: int
    """Features of one input step."""
    hidden_size: int
    """Hidden units of each layer."""
    num_layers: int
    """Recurrent layers, at least 1."""
    output_size: int
    """Features of one output step: rows of the readout."""

    def __post_init__(self) -> None:
        if self.cell not in get_args(CellName):
            raise unknown_name("cell", self.cell, get_args(CellName))
        for field in ("input_size", "hidden_size", "num_layers", "output_size"):
            if getattr(self, field) < 1:
                raise UsageError(f"{field}={getattr(self, field)} in an RNNSpec", remedy="give at least 1.")

    @functools.cached_property
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each parameter of one RNN by PyTorch's name, in PyTorch's flat order.

        `rnn.weight_ih_l0`, `rnn.weight_hh_l0`, `rnn.bias_ih_l0`, `rnn.bias_hh_l0`, the same for the
        layers above, `readout.weight`, `readout.bias`.
        """
        rows = GATES[self.cell] * self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in range(self.num_layers):
            columns = self.input_size if layer == 0 else self.hidden_size
            shapes[f"rnn.weight_ih_l{layer}"] = (rows, columns)
            shapes[f"rnn.weight_hh_l{layer}"] = (rows, self.hidden_size)
            shapes[f"rnn.bias_ih_l{layer}"] = (rows,)
            shapes[f"rnn.bias_hh_l{layer}"] = (rows,)
        shapes["readout.weight"] = (self.output_size, self.hidden_size)
        shapes["readout.bias"] = (self.output_size,)
        return shapes

    @property
    def num_parameters(self) -> int:
        """Parameters of one RNN, P."""
        return sum(math.prod(shape) for shape in self.parameter_shapes.values())

    @property
    def num_gates(self) -> int:
        """Gates of the cell."""
        return GATES[self.cell]

    def to_dict(self) -> dict[str, Any]:
        """The spec as JSON-ready values."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        return f"{self.cell} {self.num_layers}x{self.hidden_size}, {self.input_size} inputs, {self.output_size} outputs"
