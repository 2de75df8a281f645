"""Files to the bytes of an archive: the same files always give the same bytes.

The form is that of Flyte 2: a gzipped tar of regular files in the order of their paths, all of 1981-01-01, of nobody,
and with one of two modes. It is named `fast<md5>.tar.gz` after the content and path of each file, and its version is
the MD5 of the archive itself. Both are names, not protection against somebody who wants two bundles of one name.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO

from flyte._bundle.plans import BundlePlan, Fingerprint, PlannedFile, fingerprint_of
from flyte.errors import CodeBundleError

MODIFIED_S = 347_155_200
"""1981-01-01, UTC: the time of every member."""

_GZIP_WBITS = 31
"""Makes zlib write a gzip header, with no time and no name in it."""

_TRIES = 3


@dataclass(frozen=True, slots=True)
class Packed:
    """An archive that was written.

    Attributes:
        name: `fast<md5>.tar.gz`.
        version: MD5 of the archive, in hex.
        size_bytes: Its size.
        fingerprints: What each file was when it was read, in the order of the plan.
    """

    name: str
    version: str
    size_bytes: int
    fingerprints: tuple[Fingerprint, ...]


class ContentDigest:
    """The digest in the name of an archive: MD5 of the bytes and the path without slashes of each file, by path."""

    def __init__(self) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)

    def add(self, relative: str, content: bytes) -> None:
        """The next file."""
        self._md5.update(content)
        self._md5.update(os.fsencode(relative.replace("/", "")))

    def name(self) -> str:
        """The name of the archive of the files so far."""
        return f"fast{self._md5.hexdigest()}.tar.gz"


class CompressedWriter:
    """A gzip file that is the same for the same bytes; knows its digest."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._compressor = zlib.compressobj(wbits=_GZIP_WBITS)
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._position = 0
        self.size_bytes = 0

    def write(self, data: bytes) -> int:
        """Compress the next bytes."""
        self._emit(self._compressor.compress(data))
        self._position += len(data)
        return len(data)

    def tell(self) -> int:
        """How many bytes came in."""
        return self._position

    def finish(self) -> str:
        """Everything is written; returns the MD5 of the file, in hex."""
        self._emit(self._compressor.flush())
        return self._md5.hexdigest()

    def _emit(self, data: bytes) -> None:
        self._file.write(data)
        self._md5.update(data)
        self.size_bytes += len(data)


def pack(plan: BundlePlan, file: IO[bytes], read: Callable[[PlannedFile], tuple[bytes, Fingerprint]]) -> Packed:
    """The archive of a plan is in `file`.

    Each file is read once, so that the name, the version and the content speak of the same bytes.

    Args:
        plan: What to pack.
        file: Where to write it.
        read: Gives the content of a file, and what the file was then: `read_whole`.

    Raises:
        CodeBundleError: a file is gone, cannot be read, or is being written.
    """
    digest = ContentDigest()
    output = CompressedWriter(file)
    fingerprints = []
    with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8") as archive:  # type: ignore[call-overload]
        for planned in plan.files:
            content, fingerprint = read(planned)
            digest.add(planned.relative, content)
            archive.addfile(_member(planned.relative, len(content), fingerprint[-1]), io.BytesIO(content))
            fingerprints.append(fingerprint)
    version = output.finish()
    return Packed(digest.name(), version, output.size_bytes, tuple(fingerprints))


def _member(relative: str, size: int, mode: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(relative)
    member.size = size
    member.mtime = MODIFIED_S
    member.mode = 0o755 if mode & stat.S_IXUSR else 0o644
    return member


def read_whole(planned: PlannedFile) -> tuple[bytes, Fingerprint]:
    """The content of a file that nobody changed while it was read, and what the file was then.

    Raises:
        CodeBundleError: it is gone, cannot be read, or changes every time.
    """
    for _ in range(_TRIES):
        try:
            before, content, after = _read(planned.path)
        except OSError as error:
            raise CodeBundleError(_explain(planned, error)) from error
        if before == after and len(content) == before[0]:
            return content, before
    raise CodeBundleError(
        f"{planned.path} changes while it is bundled ({planned.reason}): wait for what writes it, or leave it out with "
        f"a line in .flyteignore."
    )


def _read(path: str) -> tuple[Fingerprint, bytes, Fingerprint]:
    # Not blocking, should a pipe have taken the place of the file.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb", buffering=0) as file:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise OSError(0, "it is no regular file any more")
        content = file.readall()
        return fingerprint_of(before), content, fingerprint_of(os.fstat(descriptor))


def _explain(planned: PlannedFile, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{planned.path} vanished while it was bundled: run again once nothing moves files there."
    return (
        f"{planned.path} cannot be bundled ({planned.reason}): {error.strerror}. Give yourself the right to read it, "
        f"or leave it out with a line in .flyteignore."
    )
