"""Named points at which a test makes this process die, or finds its disk full, to see that runs survive it.

`FLYTE_FAULT_POINT=action.recorded:3` kills the process, as `kill -9` would, when it reaches `action.recorded` for the
third time; without a number it is the first. With `:raise-enospc` behind that, the disk is full from then on: that time
and every later one raise `OSError(ENOSPC)`. With `FLYTE_FAULT_WHILE=<file>` a point counts only while that file is
there.
"""

from __future__ import annotations

import errno
import os
import signal
from itertools import count

VARIABLE = "FLYTE_FAULT_POINT"
WHILE_VARIABLE = "FLYTE_FAULT_WHILE"

POINTS = {
    "run.created": "the run and its root action are in the store",
    "run.claimed": "a process that resumes the run has become its owner",
    "run.done": "the outcome of the root action is known, and not recorded",
    "run.recorded": "the end of the run is recorded, and nobody knows",
    "action.started": "an action has begun, and its body has not",
    "action.done": "the body of an action is over, and its outcome not recorded",
    "action.recorded": "outcomes are recorded, and their callers do not know",
    "trace.started": "a traced function is about to be called",
    "trace.done": "a traced function has returned, and its outcome is not recorded",
    "cache.keep": "a result is about to be kept in the cache, in the transaction that records it",
    "writer.before_begin": "changes wait for the store's writer",
    "writer.before_commit": "they are written, and not committed",
    "writer.committed": "they are committed, and nobody knows",
    "file.before_write": "a file is open under its temporary name, and empty",
    "file.written": "it is complete, under its temporary name",
    "file.renamed": "it has its name, and nothing points to it",
    "data.before_write": "a file or object of the user's data is about to be written",
    "data.written": "it is complete: a file under its temporary name, an object in its place",
    "lease.renew": "the lease of a run is about to be renewed",
}
"""Every point that a local run comes by, and what is true where it is."""

SERVER_POINTS = {
    "server.committed": "changes of served runs are committed, and nobody has been told",
}
"""The same of a control plane."""

ENOSPC = "raise-enospc"


class Fault:
    """What happens at one point.

    Args:
        text: The value of the variable.
        while_file: Only while there is this file; empty for always.

    Raises:
        ValueError: it names no point, or is not of the form `<point>[:n][:raise-enospc]`.
    """

    def __init__(self, text: str, while_file: str = "") -> None:
        self._while_file = while_file
        self.point, *rest = text.split(":")
        self._is_full_disk = rest[-1:] == [ENOSPC]
        number = (rest[:-1] if self._is_full_disk else rest) or ["1"]
        if self.point not in POINTS | SERVER_POINTS or len(number) != 1 or not number[0].isdecimal():
            raise ValueError(
                f"{VARIABLE} is {text!r}: expected <point>[:n][:{ENOSPC}] with one of the points {', '.join(POINTS)}."
            )
        self._nth = int(number[0])
        self._times = count(1)

    def reached(self) -> None:
        """The point was reached once more, on whichever thread."""
        if self._while_file and not os.path.exists(self._while_file):
            return
        time_no = next(self._times)
        if self._is_full_disk:
            if time_no >= self._nth:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        elif time_no == self._nth:
            os.kill(os.getpid(), signal.SIGKILL)


_fault = Fault(os.environ[VARIABLE], os.environ.get(WHILE_VARIABLE, "")) if os.environ.get(VARIABLE) else None


def reach(point: str) -> None:
    """Execution is at `point`. Does nothing unless the variable was set when this module was loaded."""
    if _fault is not None and _fault.point == point:
        _fault.reached()
