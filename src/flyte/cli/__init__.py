"""The `flyte` command. What it does and prints is described in `docs/cli.md`."""

from __future__ import annotations

import io
import os
import sys

__all__ = ["main"]

_INTERRUPTED = 130


def main() -> None:
    """Run the command line of this process and exit: 0 done, 1 the run failed, 2 the command was wrong, 130 Ctrl-C."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # In an encoding without our marks, a report with question marks is better than none.
        sys.stdout.reconfigure(errors="replace")
    try:
        from flyte.cli._root import flyte

        flyte()
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except SystemExit as end:
        if end.code != _INTERRUPTED:
            raise
        code = _INTERRUPTED
    # What the run has to say is recorded. A thread that does not hear of the interrupt must not hold up the terminal.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
