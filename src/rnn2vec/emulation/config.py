"""How an encoder is pre-trained: one frozen record, stored in the run."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from rnn2vec._errors import UsageError, unknown_name
from rnn2vec.rnn.interface import Kind

Conditioning = Literal["first-step", "every-step"]
Precision = Literal["float32", "bfloat16"]
_AT_LEAST_ONE = (
    "representation_size",
    "emulator_hidden_size",
    "num_steps",
    "batch_size",
    "rollouts_per_rnn",
    "validation_rollouts",
    "validate_every",
)


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """How an encoder and its emulator are trained together. The defaults are what we recommend.

    Raises:
        UsageError: a number out of range, or an unknown conditioning or precision.
    """

    encoder: str = "interactive-probing"
    """The encoder's name."""
    encoder_options: dict[str, Any] = field(default_factory=dict)
    """Hyperparameters of the encoder; its own defaults otherwise."""
    representation_size: int = 16
    """Entries of a representation."""
    emulator_hidden_size: int = 128
    """Hidden units of each of the emulator's two layers."""
    emulator_forget_bias: float = 1.0
    """Added to the biases of the emulator's forget gates at the start; 0 leaves them as PyTorch draws them."""
    conditioning: Conditioning = "every-step"
    """Where the representation enters the emulator: `first-step` (the paper's) or `every-step`."""
    loss: str = "total-variation"
    """What is minimized and validated: `total-variation`, `forward-kl`, `reverse-kl` or `js` for categorical outputs,
    `mse` for continuous ones."""
    warm_up_loss: float = 0.5
    """Weight of forward KL beside the loss at first: total variation has next to no gradient where the emulator
    is confidently wrong. 0 leaves it out, as continuous outputs do."""
    warm_up_share: float = 0.6
    """Share of the steps with forward KL."""
    num_steps: int = 8000
    """Updates."""
    batch_size: int = 64
    """RNNs per update."""
    train_runs: int | None = None
    """Runs of the training split that are used, the first ones; None for all."""
    rollouts_per_rnn: int = 1
    """Rollouts of each RNN per update."""
    learning_rate: float = 1e-3
    """AdamW's learning rate at its highest."""
    warm_up_steps: int = 200
    """Updates over which the learning rate rises from 0."""
    decay: bool = True
    """Whether the learning rate then falls linearly to 0."""
    weight_decay: float = 0.01
    """AdamW's decoupled weight decay."""
    gradient_clip: float = 1.0
    """Largest norm of the gradient, for the encoder and for the emulator apart."""
    ema: float = 0.0
    """Decay of an exponential moving average of the weights, such as 0.999, which is then what is validated and kept;
    0 for none."""
    precision: Precision = "float32"
    """Numbers of the forward pass of updates; losses, weights and validations are float32 in any case. `bfloat16` was
    1.3 to 1.9 times as fast at the paper's sizes on a processor with AVX-512 bf16, with the same loss curve. Without
    such instructions it was 10 times slower, and pre-training refuses it."""
    augment: bool = True
    """Renumber hidden units at random for encoders to which that makes a difference."""
    augment_signs: bool = False
    """Flip the signs of hidden units at random too, for encoders to which that makes a difference."""
    validation_rollouts: int = 10
    """Rollouts of each RNN of unseen tasks, for validation."""
    validate_every: int = 250
    """Updates between validations; each is a checkpoint too."""
    patience: int | None = None
    """Validations without a new best after which training stops; None never stops early."""
    seed: int = 0
    """Everything random follows from this."""

    def __post_init__(self) -> None:
        _require_choice("conditioning", self.conditioning, get_args(Conditioning))
        _require_choice("precision", self.precision, get_args(Precision))
        for name in _AT_LEAST_ONE:
            if getattr(self, name) < 1:
                raise UsageError(f"{name}={getattr(self, name)}", remedy="give at least 1.")
        if not 0 < self.gradient_clip < math.inf:
            raise UsageError(f"gradient_clip={self.gradient_clip}", remedy="give a number above 0.")
        if not 0 <= self.ema < 1:
            raise UsageError(f"ema={self.ema}", remedy="give 0 (none) or a decay below 1, such as 0.999.")
        for name in ("learning_rate", "warm_up_loss", "warm_up_share", "warm_up_steps", "weight_decay", "seed"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(f"{name}={getattr(self, name)}", remedy="give 0 or more.")
        for name in ("patience", "train_runs"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise UsageError(f"{name}={getattr(self, name)}", remedy="give at least 1, or leave it out.")

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of update `step`, counted from 0."""
        rising = min(1.0, (step + 1) / max(1, self.warm_up_steps))
        falling = 1.0
        if self.decay and step >= self.warm_up_steps:
            falling = (self.num_steps - step) / max(1, self.num_steps - self.warm_up_steps)
        return self.learning_rate * rising * falling

    def to_dict(self) -> dict[str, Any]:
        """The config as JSON-ready values."""
        return dataclasses.asdict(self)


def _require_choice(name: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        raise unknown_name(name, given, known)


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
"""Named configs: the same code with other numbers. `preset` adds the encoder's own.

What we recommend is told once, by the defaults of `PretrainConfig` and of the encoders. `tiny`, `tour` and `laptop`
make it smaller; `recommended` has the paper's sizes and steps. `paper` has them too, and takes back what the paper
does not do.
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


def preset(
    name: str,
    encoder: str = "interactive-probing",
    *,
    output_kind: Kind = "categorical",
    probing_length: int | None = None,
) -> PretrainConfig:
    """The config of a preset for one encoder and one family of RNNs.

    Args:
        name: `tiny`, `tour`, `laptop`, `recommended` or `paper`.
        encoder: the encoder's name.
        output_kind: of the RNNs' outputs: continuous ones are compared by their squared error.
        probing_length: probes in each sequence of a probing encoder (`TaskFamily.probing_length`); None leaves it to
            the encoder. The preset `tiny` has its own.

    Raises:
        UsageError: there is no such preset.
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
