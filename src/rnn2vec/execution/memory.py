"""Memory usage of this process."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path


def peak_bytes() -> int:
    """Return the peak memory of this process, in bytes.

    On Linux it is read from /proc, because `getrusage` there includes the memory of the process that started this one.
    Elsewhere `getrusage` is the only source; it counts bytes on macOS and KiB on other systems.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return 1024 * int(re.findall(r"VmHWM:\s*(\d+) kB", status.read_text())[0])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
