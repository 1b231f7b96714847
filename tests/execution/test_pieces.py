"""Pieces of work side by side: their order, what happens when one fails, and that nothing said is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import pytest

from rnn2vec._errors import DataError, UsageError
from rnn2vec._progress import Progress
from rnn2vec.execution.local import Piece, WorkerError, run_pieces, try_pieces

VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def note(folder: Path, name: str, seconds: float, progress: Progress) -> str:
    (folder / name).touch()
    time.sleep(seconds)
    progress(1, 1, name)
    return name.upper()


def fail(folder: Path, progress: Progress) -> None:  # noqa: ARG001
    (folder / "failing").touch()
    raise DataError("the piece is broken", remedy="mend it.")


def talk(number: int, progress: Progress) -> None:
    for done in range(number + 1):
        progress(done, number, "talking")


def die(progress: Progress) -> None:  # noqa: ARG001
    os.kill(os.getpid(), signal.SIGKILL)


def threads(progress: Progress) -> dict[str, str | None]:  # noqa: ARG001
    return {name: os.environ.get(name) for name in VARIABLES}


def _ignore(*_: Any) -> None:
    pass


def _notes(folder: Path, *names: str, seconds: float = 0.0) -> list[Piece]:
    return [Piece(name, note, {"folder": folder, "name": name, "seconds": seconds}) for name in names]


def test_one_worker_runs_pieces_in_the_order_given(tmp_path: Path) -> None:
    reported: list[str] = []
    pieces = _notes(tmp_path, "c", "a", "b")
    results = run_pieces(pieces, workers=1, progress=lambda *report: reported.append(report[0]))
    assert list(results.items()) == [("c", "C"), ("a", "A"), ("b", "B")]
    assert reported == ["c", "a", "b"]


def test_results_have_the_order_given_whichever_is_ready_first(tmp_path: Path) -> None:
    slow, fast = _notes(tmp_path, "slow", seconds=0.5), _notes(tmp_path, "fast")
    assert list(run_pieces([*slow, *fast], workers=2, progress=_ignore)) == ["slow", "fast"]


def test_no_piece_begins_after_one_has_failed(tmp_path: Path) -> None:
    """Not even those that already wait in the pool's own queue, which cannot be cancelled."""
    broken = Piece("broken", fail, {"folder": tmp_path})
    with pytest.raises(DataError, match=r"the piece is broken\n  -> mend it"):
        run_pieces([broken, *_notes(tmp_path, "a", "b", "c")], workers=1, progress=_ignore)
    assert [path.name for path in tmp_path.iterdir()] == ["failing"]


def test_everything_that_was_said_is_heard_in_order() -> None:
    reported: list[tuple[str, float, float, str]] = []
    pieces = [Piece("long", talk, {"number": 200}), Piece("short", talk, {"number": 3})]
    run_pieces(pieces, workers=2, progress=lambda *report: reported.append(report))
    for name, number in (("long", 200), ("short", 3)):
        assert [report[1:] for report in reported if report[0] == name] == [
            (done, number, "talking") for done in range(number + 1)
        ]


def test_a_listener_that_fails_is_not_ignored(tmp_path: Path) -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeError("refuses reports")

    talks = Piece("talks", talk, {"number": 3000})  # more than a pipe holds: the worker must not wait for the listener
    with pytest.raises(RuntimeError, match="refuses reports"):
        run_pieces([talks, *_notes(tmp_path, "a")], workers=1, progress=refuse)
    assert (tmp_path / "a").exists()


def test_what_a_failing_piece_and_its_neighbours_said_is_heard(tmp_path: Path) -> None:
    reported: list[str] = []
    pieces = [Piece("broken", fail, {"folder": tmp_path}), *_notes(tmp_path, "slow", seconds=1.0)]
    with pytest.raises(DataError, match="the piece is broken"):
        run_pieces(pieces, workers=2, progress=lambda *report: reported.append(report[0]))
    assert reported == (["slow"] if (tmp_path / "slow").exists() else [])


def test_a_killed_worker_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(
        WorkerError, match=r"a process was killed while doomed ran\n  -> the usual cause is lack of memory"
    ):
        run_pieces([Piece("doomed", die)], workers=1, progress=_ignore)
    assert WorkerError.exit_code == 1


def test_workers_have_one_thread_and_the_environment_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    before = dict(os.environ)
    assert run_pieces([Piece("a", threads)], workers=1, progress=_ignore)["a"] == dict.fromkeys(VARIABLES, "1")
    assert dict(os.environ) == before
    with pytest.raises(WorkerError):
        run_pieces([Piece("doomed", die)], workers=1, progress=_ignore)
    assert dict(os.environ) == before


@pytest.mark.parametrize("workers", [0, -1])
def test_some_workers_are_needed(workers: int) -> None:
    with pytest.raises(UsageError, match=rf"workers={workers}\n.*at least 1"):
        run_pieces([], workers=workers, progress=_ignore)


def test_results_by_name_need_different_names(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"two pieces with the same name among a, b, a\n.*each its own name"):
        run_pieces(_notes(tmp_path, "a", "b", "a"), workers=1, progress=_ignore)
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_run_gives_nothing() -> None:
    assert run_pieces([], workers=1, progress=_ignore) == {}


_PARENT = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import forever
from rnn2vec.execution.local import Piece, run_pieces
if __name__ == "__main__":
    pieces = [Piece("a", forever.run, {"beat": Path(sys.argv[2])}), Piece("b", forever.once)]
    run_pieces(pieces, workers=2, progress=lambda *_: None)
"""
_PIECE = """
import os, time
def run(beat, progress):
    while True:
        beat.write_text(str(os.getpid()))
        time.sleep(0.05)
def once(progress):
    pass
"""


def _processes(marker: Path) -> list[str]:
    """List the processes whose environment names the marker, excluding zombies."""
    found: list[str] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if str(marker).encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_text())
        except OSError:  # gone meanwhile
            continue
    return found


def test_no_process_outlives_a_killed_parent(tmp_path: Path) -> None:
    """Neither the worker that is busy and says nothing, nor the idle one, nor any helper of theirs."""
    (tmp_path / "forever.py").write_text(_PIECE)
    (tmp_path / "parent.py").write_text(_PARENT)
    beat = tmp_path / "beat"
    parent = subprocess.Popen(
        [sys.executable, tmp_path / "parent.py", tmp_path, beat],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "RNN2VEC_TEST": str(tmp_path)},
    )
    _wait_for(lambda: beat.exists() and len(_processes(tmp_path)) >= 3)
    parent.kill()
    parent.wait()
    _wait_for(lambda: not _processes(tmp_path))


def _wait_for(reached: Any, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.02)


# -- pieces that do not stop each other ------------------------------------------------------------


def test_what_fails_and_what_is_killed_stops_no_other_piece(tmp_path: Path) -> None:
    broken, doomed = Piece("broken", fail, {"folder": tmp_path}), Piece("doomed", die)
    outcomes = try_pieces([broken, doomed, *_notes(tmp_path, "a", "b")], devices=["cpu"], progress=_ignore)
    assert list(outcomes) == ["broken", "doomed", "a", "b"]
    assert isinstance(outcomes["broken"], DataError)
    assert "in fail" in "".join(traceback.format_exception(outcomes["broken"]))  # where it happened, in its process
    assert isinstance(outcomes["doomed"], WorkerError)
    assert (outcomes["a"], outcomes["b"]) == ("A", "B")


def test_pieces_that_may_fail_run_side_by_side_on_one_thread_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    reported: list[str] = []
    pieces = [Piece("x", threads), Piece("y", threads), *_notes(tmp_path, "a")]
    outcomes = try_pieces(pieces, devices=["cpu"] * 2, progress=lambda *report: reported.append(report[0]))
    assert outcomes == {"x": dict.fromkeys(VARIABLES, "1"), "y": dict.fromkeys(VARIABLES, "1"), "a": "A"}
    assert reported == ["a"]
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_pieces_that_may_fail_are_checked_too(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="workers=0"):
        try_pieces([], devices=[], progress=_ignore)
    with pytest.raises(UsageError, match="two pieces with the same name"):
        try_pieces(_notes(tmp_path, "a", "a"), devices=["cpu"], progress=_ignore)
    assert try_pieces([], devices=["cpu"], progress=_ignore) == {}


def seen(folder: Path, names: list[str], progress: Progress) -> list[bool]:  # noqa: ARG001
    return [(folder / name).exists() for name in names]


def wait_until(folder: Path, names: list[str], progress: Progress) -> None:  # noqa: ARG001
    while not all((folder / name).exists() for name in names):
        time.sleep(0.02)


def test_a_piece_that_needs_another_begins_when_it_is_over_and_the_next_one_does_not_wait(tmp_path: Path) -> None:
    """`first` ends only when `behind` has: a worker that stood still for `needs` would never end."""
    first = Piece("first", wait_until, {"folder": tmp_path, "names": ["behind"]})
    needs = Piece("needs", seen, {"folder": tmp_path, "names": ["behind"]})
    pieces = [first, needs, *_notes(tmp_path, "behind")]
    outcomes = try_pieces(pieces, devices=["cpu"] * 2, progress=_ignore, after={"needs": "first"})
    assert list(outcomes) == ["first", "needs", "behind"]
    assert outcomes["needs"] == [True]


def test_with_one_worker_the_order_given_is_kept(tmp_path: Path) -> None:
    reported: list[str] = []
    pieces = _notes(tmp_path, "a", "of-a", "b", "of-b")
    try_pieces(
        pieces,
        devices=["cpu"],
        progress=lambda *report: reported.append(report[0]),
        after={"of-a": "a", "of-b": "b", "b": "done long ago"},
    )
    assert reported == ["a", "of-a", "b", "of-b"]


def test_a_piece_begins_after_one_that_failed_too(tmp_path: Path) -> None:
    pieces = [Piece("broken", fail, {"folder": tmp_path}), *_notes(tmp_path, "needs")]
    outcomes = try_pieces(pieces, devices=["cpu"] * 2, progress=_ignore, after={"needs": "broken"})
    assert isinstance(outcomes["broken"], DataError)
    assert outcomes["needs"] == "NEEDS"


@pytest.mark.parametrize("after", [{"a": "b"}, {"b": "b"}])
def test_a_piece_that_needs_one_behind_it_is_refused(tmp_path: Path, after: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"[ab] comes before b, which it needs\n.*reverse their order"):
        try_pieces(_notes(tmp_path, "a", "b"), devices=["cpu"], progress=_ignore, after=after)
    assert list(tmp_path.iterdir()) == []


def occupy(folder: Path, device: str, progress: Progress) -> str:  # noqa: ARG001
    (folder / device).touch(exist_ok=False)  # no other piece may be on this device
    time.sleep(0.1)
    (folder / device).unlink()
    return device


def test_pieces_are_spread_over_devices_that_are_free(tmp_path: Path) -> None:
    pieces = [Piece(name, occupy, {"folder": tmp_path}, takes_device=True) for name in "abcde"]
    pieces.insert(1, *_notes(tmp_path, "takes no device", seconds=0.1))
    outcomes = try_pieces(pieces, devices=["cuda:0", "cuda:1"], progress=_ignore)
    assert outcomes.pop("takes no device") == "TAKES NO DEVICE"
    assert set(outcomes.values()) == {"cuda:0", "cuda:1"}
