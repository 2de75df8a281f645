"""The most memory this process ever had resident."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path


def peak_rss_mib() -> float:
    """Peak resident memory in MiB.

    On Linux it is read from the kernel's account of this program. `getrusage` would count the process that started it
    too: the peak of the forked copy stays with the new program.
    """
    if sys.platform == "linux":
        peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        assert peak is not None
        return int(peak[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
