"""`python -m rnn2vec`, and the `rnn2vec` command: Ctrl-C has an answer before anything else is imported."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 plus the number of the signal."""
_SECONDS_TO_END = 5.0


def main() -> int:
    """Run the command line; return its exit code."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, _interrupt)
    try:
        _occupy_standard_streams()
        from rnn2vec.cli import main as run  # noqa: PLC0415 (the handler must be there first)

        return run()
    except KeyboardInterrupt:
        sys.stderr.write("rnn2vec: interrupted\n")
        return INTERRUPTED


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt; libraries that swallow it get a few seconds before the process ends all the same."""
    timer = threading.Timer(_SECONDS_TO_END, os._exit, (INTERRUPTED,))
    timer.daemon = True
    timer.start()
    raise KeyboardInterrupt


def _occupy_standard_streams() -> None:
    """Open the null device for standard streams that were closed, so that no file of ours gets their numbers."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


if __name__ == "__main__":
    sys.exit(main())
