"""Configuration of pre-training: one frozen record, stored in the run."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from rnn2vec._errors import unknown_name
from rnn2vec.rnn.interface import Kind
from rnn2vec.training.recipe import Recipe, require_at_least_one, require_choice, require_non_negative

if TYPE_CHECKING:
    from rnn2vec.tasks.base import TaskFamily

Conditioning = Literal["first-step", "every-step"]
_AT_LEAST_ONE = (
    "representation_size",
    "emulator_hidden_size",
    "rollouts_per_rnn",
    "validation_rollouts",
    "train_runs",
)


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(Recipe):
    """Options of pre-training an encoder with its emulator. The defaults are the recommended recipe.

    Examples:
        >>> config = PretrainConfig(encoder="dwsnet", num_steps=100, warm_up_steps=10)
        >>> config.learning_rate_at(4)
        0.0005
        >>> config.to_dict()["encoder"]
        'dwsnet'

    Raises:
        UsageError: if a number is out of range, or the conditioning or precision is unknown.
    """

    encoder: str = "interactive-probing"
    """Name of the encoder."""
    encoder_options: dict[str, Any] = field(default_factory=dict)
    """Hyperparameters of the encoder that differ from its defaults."""
    representation_size: int = 16
    """Size of a representation."""
    emulator_hidden_size: int = 128
    """Number of hidden units of each of the emulator's two layers."""
    emulator_forget_bias: float = 1.0
    """Value added to the initial biases of the emulator's forget gates; 0 keeps PyTorch's initialization."""
    conditioning: Conditioning = "every-step"
    """Steps at which the representation enters the emulator: `first-step` (as in the paper) or `every-step`."""
    loss: str = "total-variation"
    """Distance to minimize and to validate: `total-variation`, `forward-kl`, `reverse-kl` or `js` for categorical
    outputs, `mse` for continuous ones."""
    warm_up_loss: float = 0.5
    """Weight of forward KL, which is added to the loss in early training, because total variation has almost no
    gradient where the emulator is confidently wrong. 0 disables it; it is never used for continuous outputs."""
    warm_up_share: float = 0.6
    """Share of the steps that include forward KL."""
    train_runs: int | None = None
    """Number of runs of the training split to use, starting with the first; None uses all."""
    rollouts_per_rnn: int = 1
    """Number of rollouts of each RNN per update."""
    augment: bool = True
    """Permute hidden units at random, for encoders that depend on their order."""
    augment_signs: bool = False
    """Also flip the signs of hidden units at random, for encoders that depend on them."""
    validation_rollouts: int = 10
    """Number of rollouts of each RNN of unseen tasks, for validation."""
    seed: int = 0
    """Seed of all random numbers."""
    num_steps: int = 8000
    """Maximum number of updates."""
    warm_up_steps: int = 200
    """Number of updates over which the learning rate rises from 0."""
    decay: bool = True
    """Decrease the learning rate linearly to 0 after the warm-up."""
    validate_every: int = 250
    """Number of updates between validations; each validation also writes a checkpoint."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_choice("conditioning", self.conditioning, get_args(Conditioning))
        require_at_least_one(self, _AT_LEAST_ONE)
        require_non_negative(self, ("warm_up_loss", "warm_up_share", "seed"))


# No early stopping: it would end some trainings before forward KL has left the loss and the learning rate has fallen.
_RECOMMENDED = PretrainConfig(emulator_hidden_size=256, num_steps=100_000, validate_every=1000)

PRESETS: dict[str, PretrainConfig] = {
    "tiny": PretrainConfig(emulator_hidden_size=32, num_steps=60, warm_up_steps=10, validate_every=20),
    "tour": PretrainConfig(num_steps=1500),
    "laptop": PretrainConfig(),
    "recommended": _RECOMMENDED,
    "paper": dataclasses.replace(
        _RECOMMENDED,
        conditioning="first-step",
        emulator_forget_bias=0.0,
        gradient_clip=0.1,
        loss="reverse-kl",
        warm_up_loss=0.0,
        learning_rate=1e-4,
        warm_up_steps=0,
        decay=False,
        patience=10,
    ),
}
"""Named configs: one code path with different numbers. `preset` adds the encoder's options.

The defaults of `PretrainConfig` and of the encoders are the recommended recipe. `tiny`, `tour` and `laptop` scale it
down; `recommended` has the paper's sizes and steps. `paper` has them too, without the additions to the paper's method.
"""

_PROBING_OPTIONS: dict[str, dict[str, Any]] = {
    "tiny": {"hidden_size": 32, "sequence_length": 8},
    "tour": {"hidden_size": 128},
    "laptop": {"hidden_size": 128},
    "recommended": {},
    "paper": {"first_input": False, "normalize": False, "forget_bias": 0.0, "extra_step": True},
}

_TRANSFORMER_OPTIONS: dict[str, dict[str, Any]] = {
    "tiny": {"hidden_size": 16, "mlp_size": 32, "num_layers": 2},
    "tour": {"hidden_size": 64, "mlp_size": 256, "num_layers": 3},
    "laptop": {"hidden_size": 64, "mlp_size": 256, "num_layers": 3},
    "recommended": {},
    "paper": {"dropout": 0.1, "position_deviation": 1.0},
}


def preset_for(family: TaskFamily, name: str, encoder: str = "interactive-probing") -> PretrainConfig:
    """Return the config of a preset for one encoder on the RNNs of a task family.

    Raises:
        UsageError: if the preset is unknown.
    """
    kind, length = family.interface.output_kind, family.probing_length
    return preset(name, encoder, output_kind=kind, probing_length=length)


def preset(
    name: str,
    encoder: str = "interactive-probing",
    *,
    output_kind: Kind = "categorical",
    probing_length: int | None = None,
) -> PretrainConfig:
    """Return the config of a preset for one encoder and one kind of RNNs; `preset_for` takes the kind from a family.

    Args:
        name: `tiny`, `tour`, `laptop`, `recommended` or `paper`.
        encoder: name of the encoder.
        output_kind: kind of the RNNs' outputs; continuous ones are compared by their squared error.
        probing_length: number of probes in each sequence of a probing encoder (`TaskFamily.probing_length`); None for
            the encoder's default. The preset `tiny` has its own.

    Raises:
        UsageError: if the preset is unknown.
    """
    if name not in PRESETS:
        raise unknown_name("preset", name, PRESETS)
    options: dict[str, Any] = {}
    if encoder in {"noninteractive-probing", "interactive-probing"}:
        options |= ({} if probing_length is None else {"sequence_length": probing_length}) | _PROBING_OPTIONS[name]
    if encoder == "parameter-transformer":
        options |= _TRANSFORMER_OPTIONS[name]
    if name == "paper" and encoder == "interactive-probing":
        options["probe_start"] = "learned"
    if name == "paper" and encoder == "dwsnet":
        options |= {"identity_deviation": 1.0, "joint_bound": True}
    losses: dict[str, Any] = {} if output_kind == "categorical" else {"loss": "mse", "warm_up_loss": 0.0}
    return dataclasses.replace(PRESETS[name], encoder=encoder, encoder_options=options, **losses)
