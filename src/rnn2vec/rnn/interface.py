"""The external view of an RNN: the kinds of its inputs and outputs, and the first input of its sequences."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from rnn2vec._errors import UsageError

Kind = Literal["categorical", "continuous"]
"""Categorical inputs are points of the simplex (one-hot tokens, or mixtures), categorical outputs are logits."""


@dataclass(frozen=True, kw_only=True)
class Interface:
    """The kinds of inputs and outputs of the RNNs of a task family.

    Examples:
        >>> interface = Interface(input_kind="categorical", output_kind="categorical")
        >>> encoder = encoders.build("interactive-probing", spec, interface=interface)
        >>> encoder(gru_stack).shape
        torch.Size([3, 16])

    Raises:
        UsageError: if the range of the inputs is empty, or the spread of the outputs is not positive.
    """

    input_kind: Kind = "continuous"
    """Kind of the inputs."""
    output_kind: Kind = "continuous"
    """Kind of the outputs."""
    first_input: tuple[float, ...] | None = None
    """The input with which every sequence of the family begins, such as a BOS token; None where there is none."""
    input_range: tuple[float, float] = (-1.0, 1.0)
    """Smallest and largest value of a continuous input."""
    output_scale: tuple[float, float] = (0.0, 1.0)
    """Centre and spread of continuous outputs: what is learned from them is learned in these units."""
    input_names: tuple[str, ...] | None = None
    """Readable name of each input token or feature."""
    output_names: tuple[str, ...] | None = None
    """Readable name of each output token or feature."""

    def __post_init__(self) -> None:
        if self.input_range[0] >= self.input_range[1]:
            raise UsageError(f"input_range={self.input_range}", remedy="give the smaller end first.")
        if self.output_scale[1] <= 0:
            raise UsageError(f"output_scale={self.output_scale}", remedy="give a spread above 0.")

    def to_dict(self) -> dict[str, Any]:
        """Return the interface as JSON-ready values."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in dataclasses.asdict(self).items()
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Interface:
        """Build the interface from the values of `to_dict`; scale and names may be missing.

        Raises:
            KeyError: if another field is missing.
        """
        for name in ("first_input", "input_kind", "output_kind", "input_range"):
            if name not in values:
                raise KeyError(name)
        options: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        return cls(**options)
