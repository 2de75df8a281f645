"""An archive to files, without trust in what it says: nothing outside the folder, no devices, nothing beyond limits.

The `data` filter of `tarfile` is the second line; the rules here come first, and are stricter: a member with a path
that leads up, from the root or through a link, is refused and not bent into shape.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from flyte._bundle.limits import MAX_UNPACKED_VARIABLE, limit_bytes, mib
from flyte._bundle.packing import ContentDigest
from flyte.errors import CodeBundleError

MAX_MEMBERS = 200_000
MAX_RATIO = 100
RATIO_FREE_BYTES = 256 << 20
"""Up to here any ratio passes: a few files full of blanks are no bomb."""

_READ_BYTES = 1 << 18
_GZIP_WBITS = 31


class _Decompressed:
    """Reads a gzip file, and ends when more comes out of it than may."""

    def __init__(self, file: IO[bytes], address: str) -> None:
        self._file = file
        self._address = address
        self._decompressor = zlib.decompressobj(wbits=_GZIP_WBITS)
        self._pending = b""
        self._read_bytes = 0
        self._limit_bytes = limit_bytes(MAX_UNPACKED_VARIABLE)
        self.given_bytes = 0

    def read(self, size: int) -> bytes:
        """The next bytes, at most `size`."""
        data = b""
        while not data and not self._decompressor.eof:
            compressed = self._pending or self._next()
            data = self._decompressor.decompress(compressed, size)
            self._pending = self._decompressor.unconsumed_tail
        self.given_bytes += len(data)
        self._check()
        return data

    def finish(self) -> None:
        """The rest is read too, so that the checksum at the end is compared."""
        while self.read(_READ_BYTES):
            pass

    def _next(self) -> bytes:
        data = self._file.read(_READ_BYTES)
        if not data:
            raise EOFError("it ends too early")
        self._read_bytes += len(data)
        return data

    def _check(self) -> None:
        if self.given_bytes > self._limit_bytes:
            raise _refused(
                self._address,
                f"holds more than {mib(self._limit_bytes)}",
                f"Set {MAX_UNPACKED_VARIABLE} to allow more, if you know what is in it.",
            )
        if self.given_bytes > max(RATIO_FREE_BYTES, MAX_RATIO * self._read_bytes):
            raise _refused(
                self._address, f"becomes over {MAX_RATIO} times as large, as only an archive made to harm does"
            )


@dataclass
class _Contents:
    """What was unpacked so far, by relative path."""

    address: str
    files: dict[str, int] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    links: set[str] = field(default_factory=set)

    def admit(self, member: tarfile.TarInfo) -> str:
        """The relative path of a member that may be unpacked; empty for the root itself.

        Raises:
            CodeBundleError: it may not.
        """
        relative = self._relative(member.name)
        if member.issparse():
            raise self._refused(member, "is a file with holes")
        if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
            raise self._refused(member, "is a device or a pipe")
        if any(above in self.links for above in _above(relative)):
            raise self._refused(member, "lies behind a link")
        if any(above in self.files for above in _above(relative)):
            raise self._refused(member, "lies in a file")
        if relative in self.files or relative in self.links or (relative in self.folders and not member.isdir()):
            raise self._refused(member, "comes twice")
        if member.issym():
            self._check_link(member, relative)
        if member.islnk() and self._relative(member.linkname) not in self.files:
            raise self._refused(member, f"is a link to {member.linkname!r}, which is no file of the archive")
        self._note(member, relative)
        return relative

    def _note(self, member: tarfile.TarInfo, relative: str) -> None:
        self.folders.update(_above(relative))
        if member.isdir():
            self.folders.add(relative)
        elif member.issym():
            self.links.add(relative)
        else:
            self.files[relative] = member.size if member.isreg() else self.files[self._relative(member.linkname)]
        if len(self.files) + len(self.links) + len(self.folders) > MAX_MEMBERS:
            raise _refused(self.address, f"has more than {MAX_MEMBERS:,} members")

    def _check_link(self, member: tarfile.TarInfo, relative: str) -> None:
        # Only steps up at the start can be counted: behind a name, which may be a link, they lead anywhere.
        target = member.linkname
        parts = [part for part in target.split("/") if part not in ("", ".")]
        ups = next((index for index, part in enumerate(parts) if part != ".."), len(parts))
        if target.startswith("/") or ".." in parts[ups:] or ups > relative.count("/"):
            raise self._refused(member, f"is a link out of the folder, to {target!r}")

    def _relative(self, name: str) -> str:
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/") or ".." in parts or "\0" in name:
            raise _refused(self.address, f"has a member {name!r}, which would lie outside the folder")
        return "/".join(parts)

    def _refused(self, member: tarfile.TarInfo, why: str) -> CodeBundleError:
        return _refused(self.address, f"has a member {member.name!r} that {why}")


def unpack(file: IO[bytes], folder: Path, address: str) -> dict[str, int]:
    """The files of an archive are in a folder; returns the size of each by relative path.

    Args:
        file: The gzipped tar.
        folder: An empty folder. When this fails there is something in it.
        address: Where the archive is, for messages.

    Raises:
        CodeBundleError: it is damaged, or holds what may not be unpacked.
        OSError: the files cannot be written.
    """
    if not hasattr(tarfile, "data_filter"):
        raise CodeBundleError("this Python cannot unpack archives safely: use 3.11.4 or a later one.")
    contents = _Contents(address)
    decompressed = _Decompressed(file, address)
    try:
        with tarfile.open(fileobj=decompressed, mode="r|", encoding="utf-8") as archive:  # type: ignore[call-overload]
            for member in archive:
                if contents.admit(member):
                    archive.extract(member, folder, filter="data")
        decompressed.finish()
    except (tarfile.FilterError, tarfile.TarError, EOFError, zlib.error, UnicodeError) as error:
        raise _refused(address, f"is damaged ({error})", "Bundle the code again.") from error
    return contents.files


def name_of_content(folder: Path, files: Iterable[str]) -> str:
    """The name that the archive of these files of a folder has."""
    digest = ContentDigest()
    for relative in sorted(files):
        digest.add(relative, (folder / relative).read_bytes())
    return digest.name()


def _above(relative: str) -> list[str]:
    parts = relative.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]


def _refused(
    address: str, what: str, next_step: str = "Do not use it: bundle the code again from its source."
) -> CodeBundleError:
    return CodeBundleError(f"the code bundle {address} {what}. {next_step}")
