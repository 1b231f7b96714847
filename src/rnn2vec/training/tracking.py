"""Trackers receive metrics: `metrics.jsonl` gets one line per validation; TensorBoard is optional."""

from __future__ import annotations

import functools
import itertools
import time
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from rnn2vec._errors import DataError, UsageError
from rnn2vec._files import canonical_json, read_json_lines, write_atomically

METRICS = "metrics.jsonl"
LOG = "log.jsonl"
Metrics = dict[str, float]
"""Numbers by name, such as `validation/total-variation`."""


@runtime_checkable
class Tracker(Protocol):
    """Receives the metrics of every validation."""

    def log(self, step: int, metrics: Metrics) -> None:
        """Record the metrics after `step` updates."""
        ...


class JsonLines:
    """A tracker that appends to `metrics.jsonl` in a run's folder.

    Args:
        folder: folder of the run.
        resume_at: step after which existing lines are dropped; training writes them again.
    """

    def __init__(self, folder: Path, *, resume_at: int) -> None:
        self._path = folder / METRICS
        kept = [line for line in read_metrics(folder) if line["step"] <= resume_at]
        write_atomically(self._path, "".join(canonical_json(line) + "\n" for line in kept).encode())

    def log(self, step: int, metrics: Metrics) -> None:
        """Append one line."""
        append_line(self._path, {"step": step, **metrics})


class WallTimes:
    """A tracker that appends the seconds since the start to `log.jsonl`, whose bytes differ between equal runs.

    Args:
        folder: folder of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOG
        self._started = time.monotonic()

    def log(self, step: int, metrics: Metrics) -> None:  # noqa: ARG002
        """Append one line."""
        append_line(self._path, {"step": step, "seconds": round(time.monotonic() - self._started, 3)})


class TensorBoard:
    """A tracker that writes TensorBoard event files, the first one with the first metrics.

    Args:
        folder: destination of the files.

    Raises:
        UsageError: if TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415
        except ImportError as error:
            raise UsageError(
                "TensorBoard is not installed", remedy="pip install 'rnn2vec[tensorboard]', or leave --tensorboard out."
            ) from error
        self._new_writer = functools.partial(SummaryWriter, str(folder))
        self._writer: Any = None

    def log(self, step: int, metrics: Metrics) -> None:
        """Write one scalar per metric."""
        if self._writer is None:
            self._writer = self._new_writer()
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()


def read_metrics(folder: Path, *names: str) -> list[dict[str, Any]]:
    """Read the lines of a run's `metrics.jsonl`; a truncated last line is ignored.

    Args:
        folder: the run's folder.
        *names: metrics that every line must have.

    Raises:
        DataError: if the file holds something else, or lines of different metrics.
    """
    path = folder / METRICS
    lines: list[dict[str, Any]] = []
    try:
        lines = read_json_lines(path) if path.exists() else []
        expected = {"step", *names, *(lines[0] if lines else ())}
        wrong = next((f"line {number}" for number, one in enumerate(lines, 1) if not _is_metrics(one, expected)), None)
    except DataError as error:
        wrong = error.problem
    if wrong is not None:
        raise DataError(
            f"{path} does not hold lines of metrics: {wrong}",
            remedy=f"restore it, or delete {folder} and pre-train again; its zoo is not affected.",
        )
    return lines


def _is_metrics(line: dict[str, Any], names: set[str]) -> bool:
    return (
        line.keys() == names
        and type(line["step"]) is int
        and all(type(value) in {int, float} for value in line.values())
    )


def best_line(folder: Path, metric: str, *others: str) -> dict[str, Any]:
    """Return the line of a run's `metrics.jsonl` with the lowest value of a metric, which is that of the kept model.

    Args:
        folder: the run's folder.
        metric: the metric.
        *others: metrics that every line must have too.

    Raises:
        DataError: if the file holds something else, or no line.
    """
    lines = read_metrics(folder, metric, *others)
    if not lines:
        raise DataError(f"{folder / METRICS} holds no validation", remedy="resume the run up to its first validation.")
    return min(lines, key=lambda line: line[metric])


def seconds_spent(folder: Path) -> float | None:
    """Sum the seconds of a run over all its starts; None if it has no log."""
    entries = seconds_in(folder / LOG)
    if entries is None:
        return None
    last_of_each_start = [now for now, after in itertools.pairwise([*entries, 0.0]) if after < now]
    return sum(last_of_each_start)


def seconds_in(log: Path) -> list[float] | None:
    """Return the `seconds` of each line of a log; None if there is no log.

    Raises:
        DataError: if a line has no seconds.
    """
    if not log.exists():
        return None
    seconds = [line.get("seconds") for line in read_json_lines(log)]
    if any(type(one) not in {int, float} for one in seconds):
        raise DataError(f"{log} has a line without seconds", remedy="delete the log, which holds wall times only.")
    return [float(one) for one in seconds if one is not None]


def append_line(path: Path, values: dict[str, Any]) -> None:
    """Append a line of JSON, atomically; these files are short, and a full disk must not truncate one.

    Raises:
        StorageError: if the file cannot be written; it stays unchanged.
    """
    before = path.read_bytes() if path.exists() else b""
    write_atomically(path, before + canonical_json(values).encode() + b"\n")
