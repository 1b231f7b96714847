"""Options that all trainings share: length, learning rate, precision and early stopping."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from rnn2vec._errors import UsageError, unknown_name

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The options of the training loop, `rnn2vec.training.loop.Loop`.

    Raises:
        UsageError: if a number is out of range, or the precision is unknown.
    """

    num_steps: int = 10_000
    """Maximum number of updates."""
    batch_size: int = 64
    """Number of RNNs per update."""
    learning_rate: float = 1e-3
    """Maximum learning rate of AdamW."""
    warm_up_steps: int = 0
    """Number of updates over which the learning rate rises from 0."""
    decay: bool = False
    """Decrease the learning rate linearly to 0 after the warm-up."""
    weight_decay: float = 0.01
    """Decoupled weight decay of AdamW."""
    gradient_clip: float = 1.0
    """Maximum gradient norm; each part of the model, such as the encoder, is clipped separately."""
    ema: float = 0.0
    """Decay of an exponential moving average of the weights, such as 0.999, which is then validated and kept; 0
    disables it."""
    precision: Precision = "float32"
    """Precision of the forward pass of updates; losses, weights and validations always use float32. In pre-training at
    the paper's sizes, `bfloat16` was 1.3 to 1.9 times as fast on a processor with AVX-512 bf16, with the same loss
    curve. On a processor without such instructions it was 10 times slower; there it is refused."""
    validate_every: int = 100
    """Number of updates between validations; each validation also writes a checkpoint."""
    patience: int | None = None
    """Number of validations without improvement after which training stops; None disables early stopping."""

    def __post_init__(self) -> None:
        require_choice("precision", self.precision, get_args(Precision))
        require_at_least_one(self, ("num_steps", "batch_size", "validate_every", "patience"))
        require_non_negative(self, ("learning_rate", "warm_up_steps", "weight_decay"))
        if not 0 < self.gradient_clip < math.inf:
            raise UsageError(f"gradient_clip={self.gradient_clip}", remedy="give a number above 0.")
        if not 0 <= self.ema < 1:
            raise UsageError(f"ema={self.ema}", remedy="give 0 (none) or a decay below 1, such as 0.999.")

    def learning_rate_at(self, step: int) -> float:
        """Return the learning rate of update `step`, counted from 0."""
        rising = min(1.0, (step + 1) / max(1, self.warm_up_steps))
        falling = 1.0
        if self.decay and step >= self.warm_up_steps:
            falling = (self.num_steps - step) / max(1, self.num_steps - self.warm_up_steps)
        return self.learning_rate * rising * falling

    def to_dict(self) -> dict[str, Any]:
        """Return the options as JSON-ready values."""
        return dataclasses.asdict(self)


def require_choice(name: str, given: str, known: Iterable[str]) -> None:
    """Check that an option has one of its known values.

    Raises:
        UsageError: if it has another; the message suggests the nearest.
    """
    if given not in known:
        raise unknown_name(name, given, known)


def require_at_least_one(config: object, names: Iterable[str]) -> None:
    """Check that the named fields of a config are at least 1, or None if that is their default.

    Raises:
        UsageError: if one is less than 1.
    """
    for name in names:
        value = getattr(config, name)
        if value is not None and value < 1:
            optional = type(config).__dataclass_fields__[name].default is None  # type: ignore[attr-defined]
            raise UsageError(f"{name}={value}", remedy=f"give at least 1{', or leave it out' if optional else ''}.")


def require_non_negative(config: object, names: Iterable[str]) -> None:
    """Check that the named fields of a config are finite and at least 0.

    Raises:
        UsageError: if one is negative or not finite.
    """
    for name in names:
        if not 0 <= getattr(config, name) < math.inf:
            raise UsageError(f"{name}={getattr(config, name)}", remedy="give 0 or more.")
