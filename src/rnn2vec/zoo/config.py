"""The config of a zoo: one frozen record, stored in the zoo and shared by all entry points."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rnn2vec._errors import UsageError, unknown_name
from rnn2vec._registry import CELLS
from rnn2vec._typed import typed

PAPER_SNAPSHOT_STEPS = (0, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000)

_LIMITS = {
    "num_runs": 1_000_000,
    "num_steps": 100_000_000,
    "batch_size": 100_000,
    "num_rollouts": 100_000,
    "num_episodes": 100_000,
    "runs_per_shard": 100_000,
}


@dataclass(frozen=True, kw_only=True)
class ZooConfig:
    """Options of building a zoo; the defaults are the paper's (Section 5, Appendix D, and our rulings).

    Examples:
        >>> config = ZooConfig(num_runs=2, num_steps=3, hidden_size=4, backend="torch")
        >>> config.snapshot_steps
        (0, 3)
        >>> config.num_rnns
        4

    Raises:
        UsageError: if a number is out of range.
    """

    family: str = "formal-languages"
    """The task family's name."""
    family_options: dict[str, Any] = field(default_factory=dict)
    """Options of the task family, such as alphabet_size of formal-languages or tile_size of tiled-mnist."""
    num_runs: int = 1000
    """RNNs trained, one task each."""
    num_steps: int = 20_000
    """Updates of each run."""
    cell: str = "lstm"
    """Name of the RNNs' cell."""
    hidden_size: int = 32
    """Hidden units per layer."""
    num_layers: int = 2
    """Recurrent layers."""
    batch_size: int = 32
    """Training examples drawn per update."""
    learning_rates: tuple[float, float, float] = (0.01, 0.003, 0.0003)
    """Learning rate at the first step, half-way and at the end; linear in between."""
    weight_decay: float | None = None
    """AdamW's decoupled weight decay; None takes the family's, from which each run draws where there are several."""
    num_rollouts: int = 100
    """Rollouts stored per snapshot."""
    num_episodes: int = 1000
    """Episodes from which a snapshot's performance is estimated; the rollouts are the first of them."""
    runs_per_shard: int = 32
    """Runs trained side by side and stored in one file: what an interrupted build may lose."""
    backend: str = "auto"
    """Backend that trains the RNNs: `auto`, `numba`, `torch` or `triton`."""
    seed: int = 0
    """Everything random follows from this and the number of the run."""

    def __post_init__(self) -> None:
        for name, most in _LIMITS.items():
            if not 1 <= getattr(self, name) <= most:
                bound = "at least 1" if getattr(self, name) < 1 else f"at most {most:,}"
                raise UsageError(f"{name}={getattr(self, name)}", remedy=f"give {bound}.")
        if self.num_rollouts > self.num_episodes:
            raise UsageError(
                f"num_rollouts={self.num_rollouts} of num_episodes={self.num_episodes}",
                remedy="the stored rollouts are the first episodes: give at least as many episodes.",
            )
        if self.cell not in CELLS:
            raise unknown_name("cell", self.cell, CELLS)
        if len(self.learning_rates) != 3:
            raise UsageError(
                f"learning_rates={self.learning_rates}", remedy="give three: at the start, half-way and at the end."
            )
        for name in ("seed", "weight_decay"):
            if (getattr(self, name) or 0) < 0:
                raise UsageError(f"{name}={getattr(self, name)}", remedy="give 0 or more.")

    @property
    def snapshot_steps(self) -> tuple[int, ...]:
        """After how many updates snapshots are taken: the paper's, and always the last."""
        return (*(step for step in PAPER_SNAPSHOT_STEPS if step < self.num_steps), self.num_steps)

    @property
    def num_rnns(self) -> int:
        """Snapshots in the finished zoo."""
        return self.num_runs * len(self.snapshot_steps)

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of update `step`, counted from 0."""
        start, middle, end = self.learning_rates
        share = 2 * step / self.num_steps
        return start + share * (middle - start) if share < 1 else middle + (share - 1) * (end - middle)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ZooConfig:
        """Return the config that `to_dict` wrote.

        Raises:
            ValueError: an entry is missing, unknown or of another type.
        """
        return typed(cls, values)

    def to_dict(self) -> dict[str, Any]:
        """Return the config as JSON-ready values."""
        return {**dataclasses.asdict(self), "learning_rates": list(self.learning_rates)}


PRESETS: dict[str, ZooConfig] = {
    "tiny": ZooConfig(num_runs=16, num_steps=200, num_rollouts=20, num_episodes=100, runs_per_shard=8),
    "tour": ZooConfig(num_runs=432, num_steps=1000, num_rollouts=100, num_episodes=100, runs_per_shard=24),
    "laptop": ZooConfig(num_runs=512, num_steps=4000),
    "paper": ZooConfig(),
}
"""Named configs: the same code with other numbers."""

_OF_FAMILY: dict[tuple[str, str], dict[str, Any]] = {
    # The paper's rates fall early, for 20,000 steps; in 2000 there is no time for that (docs/tiled-mnist.md).
    ("laptop", "tiled-mnist"): {"num_steps": 2000, "learning_rates": (0.01, 0.01, 0.0001)},
}
"""Changes to presets, by family."""


def preset(name: str, family: str = "formal-languages") -> ZooConfig:
    """Return the config of a preset for one task family.

    Raises:
        UsageError: if the preset is unknown; the message suggests the nearest.
    """
    if name not in PRESETS:
        raise unknown_name("preset", name, PRESETS)
    return dataclasses.replace(PRESETS[name], family=family, **_OF_FAMILY.get((name, family), {}))
