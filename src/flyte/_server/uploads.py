"""Files that clients send: where they go, the links by which they come, and their arrival."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import secrets
import time
from base64 import b32encode, b64decode, b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from typing import IO

from starlette.types import Receive, Scope, Send

from flyte._atomic import placed_whole, sync_folder
from flyte._server.answers import answer_text, header
from flyte._server.home_paths import UPLOADS, below, checked_name, checked_segments
from flyte._server.metrics import Metrics
from flyte._server.refusals import InvalidRequestError
from flyte._server.signing import LinkRefusedError, LinkSigner

PREFIX = "/upload/"
LARGEST_LINK_S = 24 * 3600
_DEFAULT_LINK_S = 15 * 60
_BATCH_BYTES = 1 << 20
_MD5_BYTES = 16
_BY_CONTENT = re.compile(r"[a-z2-7]{26}|inputs-[0-9a-f]{64}|inline")
"""Folders whose name says what is in them, or that the server fills itself."""

_TEMPORARY = re.compile(r"\..+\.(?P<pid>\d+)\.\d+\.tmp")
"""As `placed_whole` names its temporary files."""


@dataclass(frozen=True, slots=True)
class UploadRequest:
    """A file that is to come.

    Attributes:
        filename: Its name, which may be a path below `filename_root`.
        filename_root: Folder of several files that belong together; empty for one file.
        content_md5: MD5 of what it will hold; empty where nobody says.
        content_length: Its size; 0 where nobody says.
        expires_in_s: How long the link is good; 0 for the default.
    """

    project: str
    domain: str
    filename: str
    filename_root: str = ""
    content_md5: bytes = b""
    content_length: int = 0
    expires_in_s: int = 0


@dataclass(frozen=True, slots=True)
class UploadLink:
    """Where a file goes, and how.

    Attributes:
        link: Path and query to put it to.
        path: Where it is then.
        expires_at_s: When the link ends, in seconds since 1970.
    """

    link: str
    path: Path
    expires_at_s: int


class _TransferRefusedError(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Uploads:
    """The files that clients send to a home.

    Args:
        max_bytes: Of one file.
    """

    def __init__(self, home: Path, signer: LinkSigner, metrics: Metrics, max_bytes: int) -> None:
        self._home = home
        self._signer = signer
        self._metrics = metrics
        self._max_bytes = max_bytes

    def link(self, wanted: UploadRequest) -> UploadLink:
        """A link for one file.

        What is sent twice goes to one place: without a folder of its own, a file of known content is kept by that.

        Raises:
            InvalidRequestError: there can be no such file, or it is too large.
        """
        place = self._place(wanted)
        if wanted.content_length < 0 or wanted.content_length > self._max_bytes:
            raise InvalidRequestError(
                f"content_length is {wanted.content_length}: a file may have up to {self._max_bytes} bytes here."
            )
        if not 0 <= wanted.expires_in_s <= LARGEST_LINK_S:
            raise InvalidRequestError(f"expires_in is {wanted.expires_in_s} s: it may be up to {LARGEST_LINK_S} s.")
        expires_at_s = int(time.time()) + (wanted.expires_in_s or _DEFAULT_LINK_S)
        limits = {"max": str(wanted.content_length or self._max_bytes)}
        if wanted.content_length:
            limits["exact"] = "1"
        if wanted.content_md5:
            limits["md5"] = wanted.content_md5.hex()
        path = PREFIX + "/".join(place)
        link = self._signer.sign("PUT", path, expires_at_s, limits)
        return UploadLink(link, self._home.joinpath(UPLOADS, *place), expires_at_s)

    def content_place(self, project: str, domain: str, digest: str, filename: str) -> Path:
        """Where a file goes that the server makes itself of what a client sends, by what it holds.

        Raises:
            InvalidRequestError: no folder can have such a name.
        """
        names = checked_name(project, "project"), checked_name(domain, "domain")
        return self._home.joinpath(UPLOADS, *names, digest, filename)

    async def receive(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A file arrives, whole or not at all."""
        try:
            target, limits = self._allowed(scope)
            size_bytes = await self._store(target, limits, receive)
        except _TransferRefusedError as refusal:
            self._metrics.count_transfer("upload", refusal.status)
            await answer_text(send, refusal.status, str(refusal))
            return
        self._metrics.count_transfer("upload", 200)
        self._metrics.count_uploaded(size_bytes)
        await answer_text(send, 200, f"{size_bytes} bytes are kept.")

    def remove_leftovers(self) -> None:
        """What uploads that a killed server was taking have left is gone. Blocks; others may arrive meanwhile."""
        for path in (self._home / UPLOADS).glob("*/*/*/**/.*.tmp"):
            match = _TEMPORARY.fullmatch(path.name)
            if match and int(match["pid"]) != os.getpid():
                path.unlink(missing_ok=True)

    def _place(self, wanted: UploadRequest) -> tuple[str, ...]:
        scope = checked_name(wanted.project, "project"), checked_name(wanted.domain, "domain")
        if len(wanted.content_md5) not in (0, _MD5_BYTES):
            raise InvalidRequestError(
                f"content_md5 has {len(wanted.content_md5)} bytes: an MD5 has {_MD5_BYTES}, not written in letters."
            )
        name = checked_segments(wanted.filename or "data", "filename")
        if wanted.filename_root:
            root = checked_segments(wanted.filename_root, "filename_root")
            if _BY_CONTENT.fullmatch(root[0]):
                raise InvalidRequestError(
                    f"filename_root begins with {root[0]!r}, the name of a folder for what was sent without one, which "
                    "nothing takes the place of: choose another name."
                )
            return (*scope, *root, *name)
        key = wanted.content_md5 or secrets.token_bytes(_MD5_BYTES)
        return (*scope, b32encode(key).decode().rstrip("=").lower(), *name)

    def _allowed(self, scope: Scope) -> tuple[Path, dict[str, str]]:
        path = scope["path"]
        try:
            limits = self._signer.check(scope["method"], path, scope["query_string"].decode("latin-1"))
            segments = checked_segments(path.removeprefix(PREFIX), "the path")
        except (LinkRefusedError, InvalidRequestError) as error:
            raise _TransferRefusedError(403, str(error)) from None
        target = below(self._home, (UPLOADS, *segments), (UPLOADS,))
        if target is None:
            raise _TransferRefusedError(403, "this link leads out of the folder of uploads.")
        said = header(scope, b"content-length")
        if said.isdigit() and int(said) > int(limits["max"]):
            raise _TransferRefusedError(413, _too_large(limits))
        self._check_md5_header(scope, limits)
        return target, limits

    def _check_md5_header(self, scope: Scope, limits: dict[str, str]) -> None:
        if (said := header(scope, b"content-md5")) and "md5" not in limits:
            try:
                limits["md5"] = b64decode(said, validate=True).hex()
            except Base64Error:
                raise _TransferRefusedError(400, f"the Content-MD5 header is {said!r}: it must be in base64.") from None

    async def _store(self, target: Path, limits: dict[str, str], receive: Receive) -> int:
        try:
            with placed_whole(target) as temporary:
                size_bytes = await _write(temporary, limits, receive)
            await asyncio.to_thread(sync_folder, target.parent)
        except OSError as error:
            status = 507 if error.errno in (errno.ENOSPC, errno.EDQUOT) else 409
            raise _TransferRefusedError(status, f"the file cannot be kept: {error.strerror or error}.") from error
        return size_bytes


async def _write(path: Path, limits: dict[str, str], receive: Receive) -> int:
    largest, digest, size_bytes = int(limits["max"]), md5(usedforsecurity=False), 0
    batch = bytearray()

    def write(file: IO[bytes], data: bytes) -> None:
        file.write(data)
        digest.update(data)

    with path.open("wb") as file:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _TransferRefusedError(400, "the connection ended before the file did.")
            batch += message.get("body", b"")
            more = message.get("more_body", False)
            if size_bytes + len(batch) > largest:
                raise _TransferRefusedError(413, _too_large(limits))
            if len(batch) >= _BATCH_BYTES or not more:
                await asyncio.to_thread(write, file, bytes(batch))
                size_bytes += len(batch)
                batch.clear()
        if limits.get("exact") and size_bytes != largest:
            raise _TransferRefusedError(400, f"the file has {size_bytes} bytes, not the {largest} it was to have.")
        if (expected := limits.get("md5")) not in (None, digest.hexdigest()):
            raise _TransferRefusedError(
                400, f"what came has the MD5 {_readable(digest.hexdigest())}, not {_readable(expected)}: send it again."
            )
        await asyncio.to_thread(_flush, file)
    return size_bytes


def _flush(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _readable(hexadecimal: str | None) -> str:
    return b64encode(bytes.fromhex(hexadecimal or "")).decode()


def _too_large(limits: dict[str, str]) -> str:
    return f"this link takes up to {limits['max']} bytes, and the file has more."
