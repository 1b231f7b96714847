"""Where metrics go: `metrics.jsonl`, one line a validation, and whoever else listens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from rnn2vec._errors import UsageError
from rnn2vec._files import canonical_json, write_atomically

METRICS = "metrics.jsonl"
Metrics = dict[str, float]
"""Flat: names such as `validation/total-variation`."""


class Tracker(Protocol):
    """Hears every line of metrics."""

    def log(self, step: int, metrics: Metrics) -> None:
        """Take note of the metrics after `step` updates."""
        ...


class JsonLines:
    """Appends to `metrics.jsonl` in a run's folder.

    Args:
        folder: the run's folder.
        resume_at: lines after this step are dropped: they will be written again.
    """

    def __init__(self, folder: Path, *, resume_at: int) -> None:
        self._path = folder / METRICS
        kept = [line for line in read_metrics(folder) if line["step"] <= resume_at]
        write_atomically(self._path, "".join(canonical_json(line) + "\n" for line in kept).encode())

    def log(self, step: int, metrics: Metrics) -> None:
        """Append one line."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(canonical_json({"step": step, **metrics}) + "\n")


class TensorBoard:
    """Writes TensorBoard event files.

    Args:
        folder: where they go.

    Raises:
        UsageError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415
        except ImportError as error:
            raise UsageError(
                "TensorBoard is not installed", remedy="pip install 'rnn2vec[tensorboard]', or leave --tensorboard out."
            ) from error
        self._writer = SummaryWriter(str(folder))

    def log(self, step: int, metrics: Metrics) -> None:
        """Write one scalar per metric."""
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's `metrics.jsonl`; a last line that was cut by a kill is left out."""
    path = folder / METRICS
    return list(_whole_lines(path.read_text(encoding="utf-8"))) if path.is_file() else []


def _whole_lines(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines(keepends=True):
        if line.endswith("\n"):
            yield json.loads(line)
