"""Rows of a study: one small JSON file for each finished piece, fit to be committed.

A piece is done when its row exists. The row holds all that tables and figures need, so that the large files of a run
can be deleted, and a study can resume on another day and another machine from its rows alone.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rnn2vec._errors import DataError, Rnn2VecError
from rnn2vec._files import read_sealed, write_sealed
from rnn2vec._typed import typed

FOLDER = "rows"
FORMAT_VERSION = 2
"""Version of the format; rows of version 1, which had no checksums, can be read."""
CLOSED_FORM = "closed-form"
"""The encoder named in the row of the floor's closed form, which trains none."""
_DIGITS = 7  # float32 has no more


@dataclass(frozen=True, kw_only=True)
class Row:
    """Result of one piece."""

    piece: str
    """Name of the piece."""
    setting: str
    """Setting: pretrain, frozen, supervised or baseline."""
    property_name: str | None = None
    """Predicted property; None in pre-training."""
    encoder: str
    """Name of the encoder."""
    variant: str
    """Name of the variant of the training."""
    seed: int
    """Seed of all random numbers."""
    config: dict[str, Any]
    """Complete config of the training; empty for baselines, which have no options."""
    zoo: dict[str, Any]
    """Config and folder of the zoo, and the checksum of its shards as `weights`."""
    provenance: dict[str, Any]
    """Versions and commit when the training began."""
    hardware: dict[str, Any]
    """Machine that finished the piece."""
    seconds: float | None
    """Wall time: over all starts of a pre-training, or of the last start of a prediction."""
    curve: dict[str, list[float]] = field(default_factory=dict)
    """Values of `step` and of every metric at each validation."""
    best: dict[str, float]
    """Metrics and `step` of the kept model, the one with the lowest validation loss; empty for baselines."""
    unseen: dict[str, list[Any]] = field(default_factory=dict)
    """Metrics of the kept model for each unseen task, and the tasks as `task`."""
    baselines: dict[str, dict[str, float]] = field(default_factory=dict)
    """Metrics of simple predictors, by name, in rows of baselines; the linear predictor on a frozen representation is
    in the row of the prediction from it. Older rows list all of them with each prediction."""

    @property
    def build(self) -> str:
        """Name of the zoo's build: builds of one config on different processors differ by rounding.

        It consists of the first digits of the weights' checksum; in rows written before that was recorded, of the
        manifest's.
        """
        return str(self.zoo.get("weights") or self.zoo["manifest"])[:8]

    @property
    def pair(self) -> tuple[str, int]:
        """Build and seed: only rows that agree in both are compared as a pair."""
        return self.build, self.seed

    @property
    def loss(self) -> str:
        """Distance that was minimized and validated, such as `total-variation`."""
        return str(self.config["loss"])


def path_of(folder: Path, piece: str) -> Path:
    """Return the path of a piece's row, below the study's folder."""
    return folder / FOLDER / f"{piece}.json"


def write_row(folder: Path, row: Row) -> None:
    """Write a row, atomically; from then on, its piece is done.

    Raises:
        StorageError: if the file cannot be written.
    """
    content = {"format_version": FORMAT_VERSION, **_rounded(dataclasses.asdict(row))}
    (folder / FOLDER).mkdir(exist_ok=True)
    write_sealed(path_of(folder, row.piece), content, indent=None)


def read_rows(folder: Path) -> dict[str, Row]:
    """Read every row of a study, by the piece's name.

    Raises:
        DataError: if a row is damaged.
    """
    paths = sorted((folder / FOLDER).glob("*.json"))
    return {path.stem: _read(path) for path in paths if not path.name.startswith(".")}


def _read(path: Path) -> Row:
    try:
        content = read_sealed(path, newest=FORMAT_VERSION)
        del content["format_version"]
        row = typed(Row, content)
    except (Rnn2VecError, ValueError) as error:
        reason = error.problem if isinstance(error, Rnn2VecError) else str(error)
        raise _no_row(path, reason) from error
    _require_entries(row, path)
    if row.piece != path.stem:
        raise _no_row(path, f"it is of {row.piece}")
    return row


def _require_entries(row: Row, path: Path) -> None:
    """Check the types of the config entries that tables show."""
    zoo = row.zoo.get("config")
    wanted: list[tuple[Any, str, type[Any]]] = [
        (zoo, "family", str),
        (zoo, "num_runs", int),
        *((row.config, name, kind) for name, kind in (("num_steps", int), ("loss", str)) if name in row.config),
    ]
    for holder, name, kind in wanted:
        if not isinstance(holder, dict) or type(holder.get(name)) is not kind:
            raise _no_row(path, f"{name} of its configs is not of type {kind.__name__}")


def _no_row(path: Path, reason: str) -> DataError:
    remedy = "restore it, or delete it to train that piece again."
    return DataError(f"{path} is no row of a study: {reason}", remedy=remedy)


def _rounded(value: Any) -> Any:
    """Round every float to its significant digits."""
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list | tuple) else value
