"""What is known of an RNN from outside: the kinds of its inputs and outputs, and how its sequences begin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from rnn2vec._errors import UsageError

Kind = Literal["categorical", "continuous"]
"""Categorical inputs are points of the simplex (one-hot tokens, or mixtures), categorical outputs are logits."""


@dataclass(frozen=True, kw_only=True)
class Interface:
    """How to talk to the RNNs of a task family.

    Raises:
        UsageError: the range of the inputs is empty.
    """

    input_kind: Kind = "continuous"
    """What an input step is."""
    output_kind: Kind = "continuous"
    """What an output step is."""
    first_input: tuple[float, ...] | None = None
    """The input with which every sequence of the family begins, such as a BOS token; None where there is none."""
    input_range: tuple[float, float] = (-1.0, 1.0)
    """Smallest and largest value of a continuous input."""

    def __post_init__(self) -> None:
        if self.input_range[0] >= self.input_range[1]:
            raise UsageError(f"input_range={self.input_range}", remedy="give the smaller end first.")

    def to_dict(self) -> dict[str, Any]:
        """The interface as JSON-ready values."""
        return {
            "input_kind": self.input_kind,
            "output_kind": self.output_kind,
            "first_input": None if self.first_input is None else list(self.first_input),
            "input_range": list(self.input_range),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Interface:
        """The interface that `to_dict` wrote."""
        first = values["first_input"]
        return cls(
            input_kind=values["input_kind"],
            output_kind=values["output_kind"],
            first_input=None if first is None else tuple(first),
            input_range=tuple(values["input_range"]),
        )
