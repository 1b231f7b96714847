"""How a zoo that nobody built came to be: filtered or merged from other zoos, or imported.

A built zoo has a config, from which all of it follows. Any other zoo has an `Origin` in its place: what was asked for,
and of which zoos, each with its own config or origin. So the path back to the builds is never lost, and with it the
random streams in which each RNN's performance was measured (`streams`). Giving such zoos a config of their own was
rejected: it would say of a mixture that somebody trained it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Int64

from rnn2vec._errors import UsageError
from rnn2vec.zoo.config import ZooConfig

MadeBy = Literal["import", "filter", "subset", "merge"]


@dataclass(frozen=True, kw_only=True)
class Origin:
    """How a zoo came to be that was not built."""

    made_by: MadeBy
    """The verb."""
    family: str
    """The task family's name."""
    family_options: dict[str, Any]
    """The family's options."""
    num_shards: int
    """Shards of the finished zoo."""
    options: dict[str, Any] = field(default_factory=dict)
    """What was asked for, as JSON-ready values."""
    sources: tuple[Source, ...] = ()
    """The zoos that it was made of."""

    def to_dict(self) -> dict[str, Any]:
        """The origin as JSON-ready values."""
        values = {name: getattr(self, name) for name in _PLAIN}
        return {**values, "sources": [source.to_dict() for source in self.sources]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Origin:
        """The origin that `to_dict` wrote.

        Raises:
            UsageError: it has no shards.
        """
        origin = cls(
            **{name: values[name] for name in _PLAIN},
            sources=tuple(Source.from_dict(source) for source in values["sources"]),
        )
        if origin.num_shards < 1:
            raise UsageError(f"num_shards={origin.num_shards}", remedy="a zoo has at least 1.")
        return origin


_PLAIN = tuple(one.name for one in dataclasses.fields(Origin) if one.name != "sources")


@dataclass(frozen=True, kw_only=True)
class Source:
    """One of the zoos that a zoo was made of."""

    name: str
    """Its folder's name."""
    fingerprint: str
    """SHA-256 over the checksums of its shards."""
    num_rnns: int
    """Snapshots in it."""
    first_run: int
    """What was added to its run numbers."""
    end_run: int
    """One more than the largest of them, after the addition."""
    made: ZooConfig | Origin
    """How it came to be."""

    def to_dict(self) -> dict[str, Any]:
        """The source as JSON-ready values."""
        values = {one.name: getattr(self, one.name) for one in dataclasses.fields(self) if one.name != "made"}
        return {**values, **made_to_dict(self.made)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Source:
        """The source that `to_dict` wrote."""
        plain = {one.name: values[one.name] for one in dataclasses.fields(cls) if one.name != "made"}
        return cls(**plain, made=made_from_dict(values))


def made_to_dict(made: ZooConfig | Origin) -> dict[str, Any]:
    """A config under `config`, an origin under `origin`."""
    return {"config" if isinstance(made, ZooConfig) else "origin": made.to_dict()}


def made_from_dict(values: Mapping[str, Any]) -> ZooConfig | Origin:
    """What `made_to_dict` wrote; `KeyError('config')` when there is neither."""
    if "origin" in values:
        return Origin.from_dict(values["origin"])
    return ZooConfig.from_dict(values["config"])


@dataclass(frozen=True)
class Streams:
    """Snapshots that one build measured, and in which of its random streams."""

    rows: Int64[np.ndarray, " M"]
    """Places in the array of runs that was asked for."""
    runs: Int64[np.ndarray, " M"]
    """The number that each run had in the build."""
    config: ZooConfig | None
    """The build; None where it is not known, as with an imported zoo."""


def streams(made: ZooConfig | Origin, runs: Int64[np.ndarray, " M"]) -> list[Streams]:
    """From which builds snapshots come, by the numbers of their runs in a zoo."""
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
