"""Output of the command line: results on stdout, and progress with the time that is left on stderr.

On a terminal, progress is a bar; elsewhere a plain line every few seconds, so that a log stays readable. Names from
files are printed with control characters written out. A result that stdout does not take is an error; progress that
stderr does not take is dropped.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Generator

from rnn2vec._errors import StorageError
from rnn2vec._files import refused
from rnn2vec._progress import Progress, silent
from rnn2vec._text import visible

_SECONDS_BETWEEN_LINES = 10.0

ManyProgress = Callable[[str, float, float, str], None]
"""Progress of several things at once: `(which, done, total, what)`."""


def write_out(text: str) -> None:
    """Print a line of the result to stdout.

    Raises:
        BrokenPipeError: if the reader of a pipe has closed it.
        StorageError: if stdout is closed, or its disk is full.
    """
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]
        raise StorageError("standard output is closed", remedy="redirect it to a file or to /dev/null.")
    try:
        print(text, flush=True)  # noqa: T201
    except BrokenPipeError:
        raise
    except OSError as error:
        raise refused("standard output could not be written", error) from error


def write_note(text: str) -> None:
    """Print a line to stderr, if it can be written."""
    with contextlib.suppress(OSError, ValueError):
        print(visible(text, keep="\n"), file=sys.stderr, flush=True)  # noqa: T201


class Terminal:
    """Output for the person at the terminal.

    Args:
        quiet: print nothing but results (`--json`).
    """

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet

    def say(self, text: str) -> None:
        """Print a line of the result to stdout; errors as for `write_out`."""
        if not self.quiet:
            write_out(visible(text, keep="\n"))

    @contextlib.contextmanager
    def progress(self, title: str) -> Generator[Progress]:
        """Show one piece of work."""
        with self.many() as report:
            yield silent if self.quiet else lambda done, total, what: report(title, done, total, what)

    @contextlib.contextmanager
    def many(self) -> Generator[ManyProgress]:
        """Show several pieces of work, a line each."""
        if self.quiet:
            yield lambda *_: None
        elif sys.stderr is not None and sys.stderr.isatty():  # pyright: ignore[reportUnnecessaryComparison]
            with _bars() as report:
                yield report
        else:
            yield _Lines().report


@contextlib.contextmanager
def _bars() -> Generator[ManyProgress]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("[dim]{task.fields[what]}"),
    )
    tasks: dict[str, TaskID] = {}
    with Bars(*columns, console=Console(stderr=True), speed_estimate_period=120) as bars:

        def report(which: str, done: float, total: float, what: str) -> None:
            if which not in tasks:
                tasks[which] = bars.add_task(escape(visible(which)), total=total, what="")
            bars.update(tasks[which], completed=done, total=total, what=escape(visible(what)))

        yield report


class _Lines:
    """Progress as a line every few seconds for each piece of work."""

    def __init__(self) -> None:
        self._started: dict[str, tuple[float, float]] = {}  # when, and how much had been done
        self._said: dict[str, float] = {}

    def report(self, which: str, done: float, total: float, what: str) -> None:
        now = time.monotonic()
        started, done_before = self._started.setdefault(which, (now, done))
        is_over = done >= total
        if not is_over and now - self._said.get(which, -_SECONDS_BETWEEN_LINES) < _SECONDS_BETWEEN_LINES:
            return
        if is_over and self._said.get(which) == float("inf"):
            return
        self._said[which] = float("inf") if is_over else now
        share = done / total if total else 1.0
        if is_over:
            left = f"{duration(now - started)} in all"
        elif done > done_before:
            left = f"{duration((now - started) * (total - done) / (done - done_before))} left"
        else:
            left = "time left unknown yet"
        write_note(f"{visible(which)}: {share:4.0%}, {left} ({visible(what)})")


def duration(seconds: float) -> str:
    """Return a time span in words: `45 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
