"""What a tour found out, in numbers: probing beside the task-blind floor, on unseen languages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rnn2vec.experiments.tour.floor_comparison import FloorComparison


@dataclass(frozen=True)
class Headline:
    """The three numbers over one set of RNNs, as mean total variation."""

    static: FloorComparison
    """Static (non-interactive) probing beside the floor."""
    interactive: FloorComparison
    """Interactive probing beside the same floor."""

    @property
    def floor(self) -> float:
        """The task-blind floor."""
        return self.interactive.floor

    def to_dict(self) -> dict[str, Any]:
        """The numbers as JSON-ready values."""
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
    """What a tour found out about RNNs of unseen languages."""

    all_snapshots: Headline
    """Over every snapshot, untrained ones too."""
    last_snapshots: Headline
    """Over the last snapshot of each run alone."""
    static_r_squared: float | None
    """How well emulations from static probing match their RNNs' performance; None when all RNNs perform alike."""
    interactive_r_squared: float | None
    """The same for interactive probing."""

    def __str__(self) -> str:
        """The three numbers as a small table, for a terminal."""
        num_languages = self.all_snapshots.interactive.num_groups
        return "\n".join(
            [
                f"total variation on {num_languages} unseen languages (0 is a perfect emulation)",
                f"{'':<22}{'all snapshots':<34}last snapshots",
                *(_line(*row) for row in _rows(self.all_snapshots, self.last_snapshots)),
            ]
        )

    def to_dict(self) -> dict[str, Any]:
        """The findings as JSON-ready values."""
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


def _rows(everyone: Headline, last: Headline) -> list[tuple[str, str, str]]:
    return [
        ("task-blind floor", f"{everyone.floor:.3f}", f"{last.floor:.3f}"),
        ("static probing", _beside_floor(everyone.static), _beside_floor(last.static)),
        ("interactive probing", _beside_floor(everyone.interactive), _beside_floor(last.interactive)),
    ]


def _line(name: str, everyone: str, last: str) -> str:
    return f"{name:<22}{everyone:<34}{last}"


def _beside_floor(comparison: FloorComparison) -> str:
    interval = comparison.interval
    return f"{comparison.encoder:.3f} = {comparison.ratio:.2f} x floor" + (
        "" if interval is None else f" ({interval[0]:.2f}..{interval[1]:.2f})"
    )
