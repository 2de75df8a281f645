"""Content hashes: `blake3:` and 64 hex digits, of a file's bytes or of a folder's names and files.

BLAKE3 (https://github.com/BLAKE3-team/BLAKE3-specs) reads several gigabytes a second on one core, so data is hashed
while it is copied and nobody waits for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

PREFIX = "blake3:"

_READ_BYTES = 1 << 20
_DIGEST = re.compile(rf"{PREFIX}[0-9a-f]{{64}}")


class Digester:
    """Hashes what it is fed, in order."""

    def __init__(self) -> None:
        from blake3 import blake3

        self._hasher = blake3()

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """The next bytes."""
        self._hasher.update(data)

    def digest(self) -> str:
        """The content hash of everything so far."""
        return PREFIX + self._hasher.hexdigest()


def is_digest(text: str | None) -> bool:
    """Whether a hash is one of content, made here; any other is somebody's cache key and cannot be checked."""
    return text is not None and _DIGEST.fullmatch(text) is not None


def digest_of_file(path: Path) -> str:
    """The content hash of a local file."""
    digester = Digester()
    # Not through a memory map: its pages would count as memory of this process.
    with path.open("rb", buffering=0) as file:
        buffer = memoryview(bytearray(_READ_BYTES))
        while count := file.readinto(buffer):
            digester.update(buffer[:count])
    return digester.digest()


def digest_of_bytes(data: bytes | memoryview) -> str:
    """The content hash of these bytes."""
    digester = Digester()
    digester.update(data)
    return digester.digest()


def digest_of_folder(files: Iterable[tuple[str, str]]) -> str:
    """The content hash of a folder: of the relative path and content hash of each file, sorted by path.

    Each is written as the byte length of the path, a colon, the path, and the hash; nothing else of a file counts.
    """
    digester = Digester()
    for relative, digest in sorted(files):
        name = relative.encode("utf-8", "surrogateescape")
        digester.update(b"%d:%b%b" % (len(name), name, digest.encode()))
    return digester.digest()
