"""The origin of a zoo that was not built: filtered or merged from other zoos, or imported.

A built zoo has a config that determines all its content. Any other zoo has an `Origin` instead: the operation, its
options, and the source zoos, each with its own config or origin. The manifest thus leads back to the builds, and to the
random streams in which the performance of each RNN was measured (`streams`). Giving derived zoos a config was rejected,
because a config describes one training, and a mixture was not trained with any.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Int64

from rnn2vec._errors import UsageError
from rnn2vec._typed import typed, typed_fields
from rnn2vec.zoo.config import ZooConfig

_MOST_SHARDS = 1_000_000
MadeBy = Literal["import", "filter", "subset", "merge"]


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The origin of a zoo that was not built."""

    made_by: MadeBy
    """Operation that made the zoo."""
    family: str
    """Name of the task family."""
    family_options: dict[str, Any]
    """Options of the task family."""
    num_shards: int
    """Number of shards of the finished zoo."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options of the operation, as JSON-ready values."""
    sources: tuple[Source, ...] = ()
    """Source zoos."""

    def to_dict(self) -> dict[str, Any]:
        """Return the origin as JSON-ready values."""
        values = {name: getattr(self, name) for name in _PLAIN}
        return {**values, "sources": [source.to_dict() for source in self.sources]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Origin:
        """Read the values that `to_dict` returned.

        Raises:
            UsageError: if the number of shards is below 1.
            KeyError: if a value is missing.
        """
        origin = cls(
            **typed_fields(cls, values, _PLAIN),
            sources=tuple(Source.from_dict(one) for one in typed(list[dict[str, Any]], values.get("sources"))),
        )
        if not 1 <= origin.num_shards <= _MOST_SHARDS:
            raise UsageError(f"num_shards={origin.num_shards}", remedy=f"a zoo has 1 to {_MOST_SHARDS:,}.")
        return origin


_PLAIN = tuple(one.name for one in dataclasses.fields(Origin) if one.name != "sources")


@dataclass(frozen=True, kw_only=True)
class Source:
    """A zoo from which another zoo was derived."""

    name: str
    """Name of the zoo's folder."""
    fingerprint: str
    """SHA-256 of the checksums of the zoo's shards."""
    num_rnns: int
    """Number of snapshots."""
    first_run: int
    """Offset added to the run numbers."""
    end_run: int
    """Largest run number plus 1, offset included."""
    made: ZooConfig | Origin
    """Config of a built zoo, or origin of another one."""

    def to_dict(self) -> dict[str, Any]:
        """Return the source as JSON-ready values."""
        values = {one.name: getattr(self, one.name) for one in dataclasses.fields(self) if one.name != "made"}
        return {**values, **made_to_dict(self.made)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Source:
        """Read the values that `to_dict` returned."""
        plain = typed_fields(cls, values, (one.name for one in dataclasses.fields(cls) if one.name != "made"))
        return cls(**plain, made=made_from_dict(values))


def made_to_dict(made: ZooConfig | Origin) -> dict[str, Any]:
    """Return a config under the key `config`, or an origin under `origin`."""
    return {"config" if isinstance(made, ZooConfig) else "origin": made.to_dict()}


def made_from_dict(values: Mapping[str, Any]) -> ZooConfig | Origin:
    """Read the values that `made_to_dict` returned.

    Raises:
        ValueError: if there is neither a config nor an origin, or an entry is missing, unknown or of another type.
    """
    if "origin" in values:
        return Origin.from_dict(values["origin"])
    if "config" not in values:
        raise ValueError("config is missing")
    return ZooConfig.from_dict(values["config"])


@dataclass(frozen=True)
class Streams:
    """Snapshots of one build, with the run numbers that determine their random streams."""

    rows: Int64[np.ndarray, " M"]
    """Positions in the array of runs given to `streams`."""
    runs: Int64[np.ndarray, " M"]
    """Run numbers in the build."""
    config: ZooConfig | None
    """Config of the build; None if unknown, as for an imported zoo."""


def streams(made: ZooConfig | Origin, runs: Int64[np.ndarray, " M"]) -> list[Streams]:
    """Trace snapshots back to the builds that they come from.

    Args:
        made: config or origin of a zoo.
        runs: run numbers of snapshots in that zoo.

    Returns:
        The snapshots grouped by build.
    """
    return _streams(made, np.arange(len(runs)), runs)


def _streams(made: ZooConfig | Origin, rows: Int64[np.ndarray, " M"], runs: Int64[np.ndarray, " M"]) -> list[Streams]:
    if isinstance(made, ZooConfig):
        return [Streams(rows, runs, made)]
    if not made.sources:
        return [Streams(rows, runs, None)]
    found: list[Streams] = []
    for source in made.sources:
        mine = (runs >= source.first_run) & (runs < source.end_run)
        if mine.any():
            found += _streams(source.made, rows[mine], runs[mine] - source.first_run)
    return found
