"""How a predictor is trained: one frozen record, stored in the result."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from rnn2vec._errors import UsageError, unknown_name
from rnn2vec.emulation import config as pretraining

Setting = Literal["frozen", "supervised"]
"""`frozen`: on the representations of a pre-trained encoder. `supervised`: encoder and predictor from scratch."""


@dataclass(frozen=True, kw_only=True)
class PredictConfig:
    """How a predictor, and in the supervised setting an encoder before it, is trained. Defaults are for `frozen`.

    Raises:
        UsageError: a number out of range.
    """

    hidden_size: int = 128
    """Width of the predictor's two hidden layers."""
    num_steps: int = 10_000
    """Updates at most."""
    batch_size: int = 64
    """RNNs per update."""
    learning_rate: float = 1e-3
    """AdamW's learning rate."""
    weight_decay: float = 0.01
    """AdamW's decoupled weight decay."""
    gradient_clip: float = 1.0
    """Largest norm of the gradient, for the encoder and for the predictor apart."""
    validate_every: int = 100
    """Updates between validations."""
    patience: int | None = 20
    """Validations without a new best after which training stops; None never stops early."""
    representation_size: int = 16
    """Entries of the representation of an encoder that is trained from scratch."""
    encoder_options: dict[str, Any] = field(default_factory=dict)
    """Hyperparameters of an encoder that is trained from scratch; its own defaults otherwise."""
    augment: bool = True
    """Renumber hidden units at random for encoders that are trained from scratch and to which that makes a
    difference."""

    def __post_init__(self) -> None:
        for name in ("hidden_size", "num_steps", "batch_size", "validate_every", "representation_size"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name}={getattr(self, name)}", remedy="give at least 1.")
        if not 0 < self.gradient_clip < math.inf:
            raise UsageError(f"gradient_clip={self.gradient_clip}", remedy="give a number above 0.")
        for name in ("learning_rate", "weight_decay"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(f"{name}={getattr(self, name)}", remedy="give 0 or more.")
        if self.patience is not None and self.patience < 1:
            raise UsageError(f"patience={self.patience}", remedy="give at least 1, or leave it out.")

    def to_dict(self) -> dict[str, Any]:
        """The config as JSON-ready values."""
        return dataclasses.asdict(self)


_LONG = PredictConfig(num_steps=100_000, validate_every=1000, patience=10)  # the steps of Appendix E
_PAPER = dataclasses.replace(_LONG, learning_rate=1e-4, gradient_clip=0.1)
PRESETS: dict[str, dict[Setting, PredictConfig]] = {
    "tiny": {
        "frozen": PredictConfig(num_steps=200, validate_every=50),
        "supervised": PredictConfig(num_steps=20, validate_every=10, batch_size=16),
    },
    "tour": {
        "frozen": PredictConfig(num_steps=3000),
        "supervised": PredictConfig(num_steps=1000, validate_every=100, patience=5),
    },
    "laptop": {
        "frozen": PredictConfig(),
        "supervised": PredictConfig(num_steps=4000, validate_every=200, patience=5),
    },
    "recommended": {
        "frozen": PredictConfig(num_steps=_LONG.num_steps),  # ten times as fast as the paper's: looked at more often
        "supervised": _LONG,
    },
    "paper": {"frozen": _PAPER, "supervised": _PAPER},
}
"""Named configs: the same code with other numbers. `preset` adds the encoder's own."""


def require_setting(setting: str) -> None:
    """Check the name of a setting.

    Raises:
        UsageError: there is none of that name.
    """
    if setting not in get_args(Setting):
        raise unknown_name("setting", setting, get_args(Setting))


def preset(name: str, setting: Setting = "frozen", encoder: str | None = None) -> PredictConfig:
    """The config of a preset.

    Args:
        name: `tiny`, `tour`, `laptop`, `recommended` or `paper`.
        setting: `frozen` or `supervised`.
        encoder: the name of an encoder that is to be trained from scratch: it gets the sizes that it has in
            pre-training.

    Raises:
        UsageError: there is no such preset or setting.
    """
    if name not in PRESETS:
        raise unknown_name("preset", name, PRESETS)
    require_setting(setting)
    config = PRESETS[name][setting]
    if encoder is None or setting == "frozen":
        return config
    return dataclasses.replace(config, encoder_options=pretraining.preset(name, encoder).encoder_options)
