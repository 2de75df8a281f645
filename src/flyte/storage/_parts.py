"""How large transfers are cut into parts, and what written objects say of where they come from."""

from __future__ import annotations

import os
from dataclasses import dataclass

from flyte.errors import InitializationError
from flyte.storage._addresses import protocol_of
from flyte.storage._backend import Tuning
from flyte.storage._settings import settings_for


def _from_environment(variable: str, default: int) -> int:
    """The number in an environment variable.

    Raises:
        InitializationError: code `InvalidStorageSetting`; it is not a whole number from 1.
    """
    text = os.environ.get(variable)
    if not text:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise InitializationError(
            "InvalidStorageSetting",
            "user",
            f"environment variable {variable} is {text!r}: expected a whole number from 1.",
        )
    return int(text)


FILES_IN_FLIGHT = _from_environment("FLYTE_IO_BATCH_SIZE", 32)
"""Files of a folder that are transferred at the same time, at most."""

_MAX_PARTS = 9_000
_LEAST_PART_BYTES = 5 << 20
"""The bounds of multipart uploads: S3 takes 10,000 parts, of 5 MiB but for the last."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The defaults of one direction: at most `chunk_size` times `max_concurrency` bytes are in memory."""

    chunk_size: int
    max_concurrency: int

    def of(self, tuning: Tuning) -> tuple[int, int]:
        """Bytes of a part, and how many parts at once."""
        return tuning.chunk_size or self.chunk_size, tuning.max_concurrency or self.max_concurrency


UPLOAD = Parts(
    max(_from_environment("FLYTE_IO_UPLOAD_CHUNK_SIZE", 8 << 20), _LEAST_PART_BYTES),
    _from_environment("FLYTE_IO_UPLOAD_MAX_CONCURRENCY", 8),
)
DOWNLOAD = Parts(
    _from_environment("FLYTE_IO_CHUNK_SIZE", 8 << 20),
    _from_environment("FLYTE_IO_MAX_CONCURRENCY", 8),
)


def part_size(size: int, chunk_size: int) -> int:
    """Bytes of a part of a file of `size` bytes: `chunk_size`, or more where that were too many parts."""
    return max(chunk_size, _LEAST_PART_BYTES, -(-size // _MAX_PARTS))


def execution_attributes(address: str) -> dict[str, str] | None:
    """Metadata for an object that is written now: the run and action that write it."""
    from flyte._context import current_scope

    scope = current_scope()
    if scope is None or not settings_for(protocol_of(address)).attach_execution_metadata:
        return None
    action = scope.context().action
    return {"flyte-run": action.run_name or action.name, "flyte-action": action.name}
