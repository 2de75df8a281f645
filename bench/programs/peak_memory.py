"""The most memory this process ever had resident."""

from __future__ import annotations

import re
import resource
from pathlib import Path


def peak_rss_mib() -> float:
    """Peak resident memory in MiB.

    On Linux it is read from the kernel's account of this program. `getrusage` would count the process that started it
    too: the peak of the forked copy stays with the new program.
    """
    status = Path("/proc/self/status")
    if status.exists() and (peak := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(peak[1]) / 1024
    # On macOS, in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
