"""Metrics: whole lines, whatever happened; and TensorBoard events that can be read back."""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rnn2vec._errors import DataError, StorageError, UsageError
from rnn2vec.training.tracking import (
    METRICS,
    JsonLines,
    TensorBoard,
    Tracker,
    append_line,
    best_line,
    read_metrics,
    seconds_spent,
)

LINES = '{"step": 3, "train/loss": 0.5}\n{"step": 6, "train/loss": 0.25}\n'


def test_what_is_logged_is_read_back(tmp_path: Path) -> None:
    log = JsonLines(tmp_path, resume_at=0)
    assert isinstance(log, Tracker)
    log.log(3, {"train/loss": 0.1 + 0.2})
    log.log(6, {"train/loss": 1e-300})
    assert read_metrics(tmp_path) == [{"step": 3, "train/loss": 0.1 + 0.2}, {"step": 6, "train/loss": 1e-300}]


def test_a_run_that_never_validated_has_no_metrics(tmp_path: Path) -> None:
    assert read_metrics(tmp_path) == []


@given(cut=st.integers(0, len(LINES)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_line_that_was_cut_is_left_out(tmp_path: Path, cut: int) -> None:
    (tmp_path / METRICS).write_text(LINES[:cut])
    whole = LINES[:cut].count("\n")
    assert [line["step"] for line in read_metrics(tmp_path)] == [3, 6][:whole]

    JsonLines(tmp_path, resume_at=6).log(9, {"train/loss": 0.125})
    assert [line["step"] for line in read_metrics(tmp_path)] == [*[3, 6][:whole], 9]


@pytest.mark.parametrize(("resume_at", "kept"), [(0, []), (3, [3]), (5, [3]), (6, [3, 6])])
def test_lines_after_the_checkpoint_are_written_again(tmp_path: Path, resume_at: int, kept: list[int]) -> None:
    (tmp_path / METRICS).write_text(LINES)
    JsonLines(tmp_path, resume_at=resume_at)
    assert [line["step"] for line in read_metrics(tmp_path)] == kept


@pytest.mark.parametrize("content", ["nonsense\n", "[1, 2]\n", '{"loss": 1}\n', '{"step": null}\n', "\x00\n"])
def test_a_file_of_something_else_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / METRICS).write_text(content)
    with pytest.raises(DataError, match=r"metrics\.jsonl does not hold lines of metrics: .*\n.*pre-train again"):
        read_metrics(tmp_path)


def test_a_full_disk_cuts_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / METRICS
    append_line(path, {"step": 3})
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match=r"metrics\.jsonl could not be written .*: no space left"):
            append_line(path, {"step": 6})
    assert path.read_text() == '{"step": 3}\n'
    append_line(path, {"step": 6})
    assert path.read_text() == '{"step": 3}\n{"step": 6}\n'


@pytest.mark.parametrize(
    ("seconds", "expected"), [([3, 4, 9], 9), ([3, 8, 2, 5], 13), ([], 0)], ids=["one start", "two starts", "none"]
)
def test_time_is_added_over_interruptions(tmp_path: Path, seconds: list[int], expected: int) -> None:
    (tmp_path / "log.jsonl").write_text("".join(json.dumps({"seconds": value}) + "\n" for value in seconds))
    assert seconds_spent(tmp_path) == expected


def test_a_run_without_a_log_took_an_unknown_time(tmp_path: Path) -> None:
    assert seconds_spent(tmp_path) is None


def test_tensorboard_events_can_be_read_back(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = TensorBoard(tmp_path / "board")
    assert isinstance(board, Tracker)
    assert not (tmp_path / "board").exists()  # nothing is written before there is something to write
    board.log(3, {"validation/js": 0.5, "train/loss": 2.0})
    board.log(6, {"validation/js": 0.25, "train/loss": 1.0})

    events = EventAccumulator(str(tmp_path / "board"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {"validation/js", "train/loss"}
    assert [(event.step, event.value) for event in events.Scalars("validation/js")] == [(3, 0.5), (6, 0.25)]


def test_without_tensorboard_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UsageError, match=r"TensorBoard is not installed\n.*pip install 'rnn2vec\[tensorboard\]'"):
        TensorBoard(tmp_path)


def test_a_line_without_a_metric_that_the_others_have_is_found(tmp_path: Path) -> None:
    (tmp_path / METRICS).write_text('{"step": 3, "loss": 2.0, "last": 1}\n{"step": 6, "los3": 1.0, "last": 1}\n')
    with pytest.raises(DataError, match=r"metrics\.jsonl does not hold lines of metrics: line 2\n.*restore it"):
        read_metrics(tmp_path)
    (tmp_path / METRICS).write_text('{"step": 3, "loss": 2.0}\n')
    assert best_line(tmp_path, "loss")["step"] == 3
    for metrics in (("validation",), ("loss", "last")):
        with pytest.raises(DataError, match="line 1"):
            best_line(tmp_path, *metrics)
