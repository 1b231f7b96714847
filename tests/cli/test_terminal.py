"""What a person sees of progress: time that is left, now and then, and nothing with `--json`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnn2vec.cli import terminal
from rnn2vec.cli.terminal import Terminal, duration

Captured = pytest.CaptureFixture[str]


class Clock:
    """A clock that stands until it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(terminal, "time", clock)
    return clock


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (200, "3 min 20 s"),
        (3599.6, "1 h 0 min"),
        (7500, "2 h 5 min"),
        (100_000, "27 h 46 min"),
    ],
)
def test_a_time_span_reads_as_people_say_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@given(st.floats(0, 1e6))
def test_a_time_span_loses_less_than_its_smallest_unit(seconds: float) -> None:
    units = {"h": 3600, "min": 60, "s": 1}
    words = duration(seconds).split()
    said = sum(int(number) * units[unit] for number, unit in zip(words[::2], words[1::2], strict=True))
    assert abs(said - seconds) <= (0.5 if words[-1] == "s" else 60)


def test_lines_come_now_and_then_with_the_time_left(clock: Clock, capsys: Captured) -> None:
    with Terminal(quiet=False).progress("build") as report:
        for second in range(26):
            clock.now = 100.0 + second
            report(second, 100, f"shard {second}")
        clock.now = 200.0
        report(100, 100, "done")
        report(100, 100, "done")
    assert capsys.readouterr().err.splitlines() == [
        "build:   0%, time left unknown yet (shard 0)",
        "build:  10%, 1 min 30 s left (shard 10)",
        "build:  20%, 1 min 20 s left (shard 20)",
        "build: 100%, 1 min 40 s in all (done)",
    ]


def test_the_time_left_is_that_of_this_start(clock: Clock, capsys: Captured) -> None:
    """Work that an earlier start did took no time now."""
    with Terminal(quiet=False).progress("build") as report:
        report(80, 100, "shard 9")
        clock.now += 10
        report(90, 100, "shard 10")
    assert capsys.readouterr().err.splitlines()[1] == "build:  90%, 10 s left (shard 10)"


def test_several_things_have_a_line_each(clock: Clock, capsys: Captured) -> None:
    with Terminal(quiet=False).many() as report:
        report("a", 0, 10, "one")
        report("b", 0, 10, "two")
        clock.now += 5
        report("a", 5, 10, "too early for a line")
        report("b", 10, 10, "done")
    assert capsys.readouterr().err.splitlines() == [
        "a:   0%, time left unknown yet (one)",
        "b:   0%, time left unknown yet (two)",
        "b: 100%, 5 s in all (done)",
    ]


def test_nothing_to_do_is_done(clock: Clock, capsys: Captured) -> None:
    with Terminal(quiet=False).progress("build") as report:
        report(0, 0, "done")
    assert clock.now == 100
    assert capsys.readouterr().err == "build: 100%, 0 s in all (done)\n"


def test_a_quiet_terminal_says_nothing(capsys: Captured) -> None:
    quiet = Terminal(quiet=True)
    quiet.say("a result")
    with quiet.progress("build") as one, quiet.many() as many:
        one(1, 2, "busy")
        many("a", 1, 2, "busy")
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_there_are_bars(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with Terminal(quiet=False).many() as report:
        report("a", 1, 4, "busy")
        report("b", 2, 4, "busy")
        report("a", 4, 4, "finished")
    captured = capsys.readouterr()
    assert "100%" in captured.err
    assert "50%" in captured.err
    assert captured.out == ""


def test_results_go_to_stdout(capsys: Captured) -> None:
    Terminal(quiet=False).say("a result")
    assert capsys.readouterr() == ("a result\n", "")
