"""Requests over TLS to a server whose certificate is not checked, for `insecure_skip_verify`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from pyqwest import Headers, Request, Response


class UnverifiedTransport:
    """Carries the requests of a `pyqwest.Client` with httpx, which can leave certificates unchecked."""

    def __init__(self, proxy: str | None) -> None:
        self._proxy = proxy
        self._client: Any = None

    async def execute(self, request: Request) -> Response:
        """The response; its body is read as it is asked for."""
        import httpx

        if self._client is None:
            # No connection stays open: nobody would close it.
            self._client = httpx.AsyncClient(
                verify=False,
                proxy=self._proxy,
                timeout=httpx.Timeout(None, connect=30),
                limits=httpx.Limits(max_keepalive_connections=0),
            )
        try:
            answer = await self._client.send(
                self._client.build_request(
                    request.method, request.url, headers=list(request.headers.items()), content=request.content
                ),
                stream=True,
            )
        except httpx.ConnectError as error:
            raise ConnectionError(str(error)) from error
        headers = [(name, value) for name, value in answer.headers.multi_items() if name != "content-length"]
        return Response(status=answer.status_code, headers=Headers(headers), content=_body(answer))


async def _body(answer: Any) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.aiter_bytes():
            yield chunk
    finally:
        await answer.aclose()
