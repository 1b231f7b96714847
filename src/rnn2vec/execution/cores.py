"""How many cores there are to work on, and how many of them torch uses."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator


def usable_cores() -> int:
    """Cores that this process may run on, at least 1: fewer than the machine has inside a container or a job."""
    if hasattr(os, "sched_getaffinity"):  # macOS and Windows have none
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def torch_threads(number: int) -> Generator[None]:
    """While it lasts, torch computes on `number` threads, in threads that begin meanwhile too."""
    import torch  # noqa: PLC0415 (counting cores takes no torch)

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
