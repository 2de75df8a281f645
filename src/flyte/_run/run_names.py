"""Names of runs that nobody named."""

from __future__ import annotations

import random
import string

_ALPHABET = string.ascii_lowercase + string.digits


def random_run_name() -> str:
    """A fresh name for a run: `r` and 11 characters, about 57 random bits."""
    return "r" + "".join(random.SystemRandom().choices(_ALPHABET, k=11))
