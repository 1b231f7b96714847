"""Configuration of property prediction: one frozen record, stored in the result."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from rnn2vec._errors import unknown_name
from rnn2vec.emulation import config as pretraining
from rnn2vec.training.recipe import Recipe, require_at_least_one, require_choice

if TYPE_CHECKING:
    from rnn2vec.tasks.base import TaskFamily

Setting = Literal["frozen", "supervised"]
"""`frozen`: on the representations of a pre-trained encoder. `supervised`: encoder and predictor from scratch."""


@dataclass(frozen=True, kw_only=True)
class PredictConfig(Recipe):
    """Options of training a predictor, in the supervised setting with its encoder. Defaults are for `frozen`.

    Raises:
        UsageError: if a number is out of range, or the precision is unknown.
    """

    hidden_size: int = 128
    """Width of the predictor's two hidden layers."""
    representation_size: int = 16
    """Size of the representation of an encoder that is trained from scratch."""
    encoder_options: dict[str, Any] = field(default_factory=dict)
    """Hyperparameters of an encoder that is trained from scratch, if they differ from its defaults."""
    augment: bool = True
    """Permute hidden units at random, for encoders that are trained from scratch and depend on their order."""
    patience: int | None = 20
    """Number of validations without improvement after which training stops; None disables early stopping."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least_one(self, ("hidden_size", "representation_size"))


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
        "frozen": PredictConfig(num_steps=_LONG.num_steps),  # ten times the paper's learning rate: validated more often
        "supervised": _LONG,
    },
    "paper": {"frozen": _PAPER, "supervised": _PAPER},
}
"""Named configs: one code path with different numbers. `preset` adds the encoder's options."""


def require_setting(setting: str) -> None:
    """Check the name of a setting.

    Raises:
        UsageError: if it is unknown.
    """
    require_choice("setting", setting, get_args(Setting))


def preset(
    name: str, setting: Setting = "frozen", encoder: str | None = None, *, family: TaskFamily | None = None
) -> PredictConfig:
    """Return the config of a preset.

    Args:
        name: `tiny`, `tour`, `laptop`, `recommended` or `paper`.
        setting: `frozen` or `supervised`.
        encoder: name of an encoder to train from scratch, with the sizes of the pre-training preset.
        family: task family of the RNNs, which determines the length of probing sequences.

    Raises:
        UsageError: if the preset or the setting is unknown.
    """
    if name not in PRESETS:
        raise unknown_name("preset", name, PRESETS)
    require_setting(setting)
    config = PRESETS[name][setting]
    if encoder is None or setting == "frozen":
        return config
    same = pretraining.preset(name, encoder) if family is None else pretraining.preset_for(family, name, encoder)
    return dataclasses.replace(config, encoder_options=same.encoder_options)
