"""Whether this process is one of a task, and is importing the program that the task is declared in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_is_importing = False


@contextmanager
def importing_main() -> Iterator[None]:
    """Within the block the program is imported, not run."""
    global _is_importing
    _is_importing = True
    try:
        yield
    finally:
        _is_importing = False


def check_not_importing() -> None:
    """Nothing, unless the program starts a run while it is only imported: that would never end.

    Raises:
        RuntimeError: it does.
    """
    if _is_importing:
        raise RuntimeError(
            "the program starts a run when it is imported, and a sync task with a time limit runs in a process of its "
            'own, which imports it: put what starts the run below `if __name__ == "__main__":`.'
        )
