"""Files that clients fetch by a link: reports and code bundles."""

from __future__ import annotations

import time
from pathlib import Path

from starlette.responses import FileResponse
from starlette.types import Message, Receive, Scope, Send

from flyte._server.answers import answer_text
from flyte._server.home_paths import below, checked_segments, relative_to_home
from flyte._server.metrics import Metrics
from flyte._server.refusals import InvalidRequestError, UnknownError
from flyte._server.signing import LinkRefusedError, LinkSigner
from flyte._server.uploads import LARGEST_LINK_S

PREFIX = "/download/"
_DEFAULT_LINK_S = 15 * 60

_HEADERS = {
    "x-content-type-options": "nosniff",
    "cache-control": "private, no-store",
    # A report is a page that a task has made: it may run its scripts, but not in the name of this server.
    "content-security-policy": "sandbox allow-scripts",
}


class Downloads:
    """The files of a home that clients may fetch: what runs have made, and what clients have sent."""

    def __init__(self, home: Path, signer: LinkSigner, metrics: Metrics) -> None:
        self._home = home
        self._signer = signer
        self._metrics = metrics

    def link(self, address: str, expires_in_s: int = 0) -> tuple[str, int]:
        """Path and query by which a file can be fetched, and when they end, in seconds since 1970.

        Raises:
            UnknownError: there is no such file, or it is not one that this server keeps.
            InvalidRequestError: the time is too long.
        """
        if not 0 <= expires_in_s <= LARGEST_LINK_S:
            raise InvalidRequestError(f"expires_in is {expires_in_s} s: it may be up to {LARGEST_LINK_S} s.")
        relative = relative_to_home(self._home, address)
        path = None if relative is None else below(self._home, relative.split("/"))
        if relative is None or path is None:
            raise UnknownError(f"{address!r} is not in the home of this server: read it from where it is.")
        if not path.is_file():
            raise UnknownError(f"there is no file {address!r}.")
        expires_at_s = int(time.time()) + (expires_in_s or _DEFAULT_LINK_S)
        return self._signer.sign("GET", PREFIX + relative, expires_at_s), expires_at_s

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The file, or the part of it that is asked for."""
        try:
            self._signer.check(scope["method"], scope["path"], scope["query_string"].decode("latin-1"))
            segments = checked_segments(scope["path"].removeprefix(PREFIX), "the path")
        except (LinkRefusedError, InvalidRequestError) as error:
            await self._refuse(send, 403, str(error))
            return
        path = below(self._home, segments)
        if path is None:
            await self._refuse(send, 403, "this link leads out of the folders of data.")
            return
        if not path.is_file():
            await self._refuse(send, 404, "the file is there no more.")
            return

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.count_transfer("download", message["status"])
            await send(message)

        kind = "inline" if path.suffix in (".html", ".htm") else "attachment"
        response = FileResponse(path, filename=path.name, content_disposition_type=kind, headers=_HEADERS)
        await response(scope, receive, counted)

    async def _refuse(self, send: Send, status: int, text: str) -> None:
        self._metrics.count_transfer("download", status)
        await answer_text(send, status, text)
