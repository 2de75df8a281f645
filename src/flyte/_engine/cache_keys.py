"""What makes two calls equal for the cache."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256


def cache_key(inputs_hash: str, task_name: str, interface_hash: str, version: str) -> str:
    """Base64 of SHA-256 of the four parts, one after the other; the same in every process and every mode.

    Args:
        inputs_hash: Hash of the inputs without those that the task's `Cache` ignores.
        task_name: Full name of the task.
        interface_hash: Hash of its interface, so that a changed one misses.
        version: What its `Cache` says its version is.
    """
    parts = f"{inputs_hash}{task_name}{interface_hash}{version}"
    return b64encode(sha256(parts.encode()).digest()).decode()
