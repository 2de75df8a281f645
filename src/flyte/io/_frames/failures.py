"""What is wrong with the data of a frame, as errors that name its address and the next step."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from flyte.errors import WrongKindOfDataError

_MAX_NAMES = 12


def unreadable(address: str, wanted: str, error: BaseException) -> WrongKindOfDataError:
    """The error for a file that does not hold what it should."""
    cause = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
    return WrongKindOfDataError(
        address,
        f"cannot read {address} as {wanted}: {cause}. It is truncated or something else: run the task that wrote it "
        "again, or give its format.",
    )


def check_columns(address: str, wanted: Sequence[str], found: Sequence[str]) -> None:
    """Nothing, when all columns that are wanted are there.

    Raises:
        WrongKindOfDataError: one is not; offers the nearest name.
    """
    missing = [name for name in wanted if name not in set(found)]
    if not missing:
        return
    near = difflib.get_close_matches(missing[0], found, 1)
    names = ", ".join(map(repr, found[:_MAX_NAMES])) + (", ..." if len(found) > _MAX_NAMES else "")
    advice = f"Did you mean {near[0]!r}?" if near else "Change the columns in the annotation, or what the file holds."
    raise WrongKindOfDataError(
        address,
        f"{address} has no column {', '.join(map(repr, missing))}: it has {names or 'none'}. {advice}",
    )
