"""The number of usable processor cores, and of torch's threads."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator


def usable_cores() -> int:
    """Count the cores that this process may use; a container or a job may have fewer than the machine."""
    if hasattr(os, "sched_getaffinity"):  # missing on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def torch_threads(number: int) -> Generator[None]:
    """Set the number of torch's threads inside the context, also for threads started there."""
    import torch  # noqa: PLC0415 (counting cores needs no torch)

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
