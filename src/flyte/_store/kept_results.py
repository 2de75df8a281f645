"""Whether a result that is kept under a key can be handed out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

from flyte._store.cache import Answer, CacheReader, KeptOutputs
from flyte._store.payloads import load_payload
from flyte.errors import StoreError


class Found(NamedTuple):
    """What the cache says to a call: an answer, the entry it is about, and the serialized outputs of a hit."""

    answer: Answer
    kept: KeptOutputs | None = None
    outputs: bytes | None = None


NOT_ASKED = Found(Answer.NOT_ASKED)
_ABSENT = Found(Answer.ABSENT)


def find_result(reader: CacheReader, home: Path, cache_key: str, max_age_s: float | None) -> Found:
    """The result under a key, if there is one that is no older than `max_age_s` and whose file is there."""
    kept = reader.find(cache_key)
    if kept is None:
        return _ABSENT
    if max_age_s is not None and time.time() - kept.created_us / 1e6 > max_age_s:
        return Found(Answer.TOO_OLD, kept)
    try:
        return Found(Answer.HIT, kept, load_payload(home, kept.outputs, kept.outputs_file) or b"")
    except StoreError:
        # The file went with the run that made it.
        return Found(Answer.LOST, kept)
