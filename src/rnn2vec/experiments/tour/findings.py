"""The findings of a tour: probing encoders compared with the task-blind floor on unseen languages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rnn2vec.experiments.floor_comparison import FloorComparison


@dataclass(frozen=True)
class Headline:
    """Mean total variation of both encoders and of the floor over one set of RNNs."""

    static: FloorComparison
    """Static (non-interactive) probing compared with the floor."""
    interactive: FloorComparison
    """Interactive probing compared with the same floor."""

    @property
    def floor(self) -> float:
        """Mean total variation of the task-blind floor."""
        return self.interactive.floor

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as JSON-ready values."""
        return {
            "floor": self.floor,
            "floor_name": self.interactive.floor_name,
            "static": _to_dict(self.static),
            "interactive": _to_dict(self.interactive),
            "num_rnns": self.interactive.num_rnns,
            "num_languages": self.interactive.num_groups,
        }


@dataclass(frozen=True)
class TourFindings:
    """The findings of a tour on RNNs of unseen languages."""

    all_snapshots: Headline
    """Comparison over all snapshots, untrained ones included."""
    last_snapshots: Headline
    """Comparison over the last snapshot of each run."""
    static_r_squared: float | None
    """R squared between the performance of RNNs and of their emulations from static probing; None if all RNNs perform
    alike."""
    interactive_r_squared: float | None
    """R squared for interactive probing."""

    def __str__(self) -> str:
        """Format the comparison as a small table for a terminal."""
        num_languages = self.all_snapshots.interactive.num_groups
        return "\n".join(
            [
                f"total variation on {num_languages} unseen languages (0 is a perfect emulation)",
                f"{'':<22}{'all snapshots':<34}last snapshots",
                *(f"{name:<22}{every:<34}{last}" for name, every, last in self._rows()),
            ]
        )

    def _rows(self) -> list[tuple[str, str, str]]:
        every, last = self.all_snapshots, self.last_snapshots
        return [
            ("task-blind floor", f"{every.floor:.3f}", f"{last.floor:.3f}"),
            ("static probing", _relative_to_floor(every.static), _relative_to_floor(last.static)),
            ("interactive probing", _relative_to_floor(every.interactive), _relative_to_floor(last.interactive)),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the findings as JSON-ready values."""
        return {
            "all_snapshots": self.all_snapshots.to_dict(),
            "last_snapshots": self.last_snapshots.to_dict(),
            "performance_r_squared": {"static": self.static_r_squared, "interactive": self.interactive_r_squared},
        }


def _to_dict(comparison: FloorComparison) -> dict[str, Any]:
    return {
        "total_variation": comparison.encoder,
        "ratio_to_floor": comparison.ratio,
        "interval": None if comparison.interval is None else list(comparison.interval),
        "below_floor": comparison.is_below_floor,
    }


def _relative_to_floor(comparison: FloorComparison) -> str:
    interval = comparison.interval
    return f"{comparison.encoder:.3f} = {comparison.ratio:.2f} x floor" + (
        "" if interval is None else f" ({interval[0]:.2f}..{interval[1]:.2f})"
    )
