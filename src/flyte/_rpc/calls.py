"""What happens around each call: headers, retries, and errors that say what to do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar
from uuid import uuid4

from connectrpc.code import Code
from connectrpc.errors import ConnectError

from flyte._rpc.failures import as_flyte_error, never_arrived, was_cancelled
from flyte._rpc.retries import QUICK_S, delay_s, patience_s
from flyte._rpc.settings import SessionSettings
from flyte._rpc.tokens import Credentials

Q = TypeVar("Q")
A = TypeVar("A")

_NOT_TWICE = frozenset({"CreateProject", "CreateRun", "SignalEvent"})
"""Calls that are not made again where the first may have arrived: a second would fail, or do it twice."""


class Calls:
    """The interceptor of a session."""

    def __init__(self, settings: SessionSettings) -> None:
        self._settings = settings
        self._credentials = Credentials(settings)
        self._has_answered = False

    async def intercept_unary(self, call_next: Callable[[Q, Any], Awaitable[A]], request: Q, ctx: Any) -> A:
        """A call that is made again while nobody answers, for as long as whoever makes it has patience."""
        deadline = time.monotonic() + patience_s()
        retry_no = 0
        is_renewed = False
        while True:
            await self._add_headers(ctx)
            try:
                answer = await call_next(request, ctx)
            except ConnectError as error:
                if was_cancelled(error):
                    raise asyncio.CancelledError from error
                self._has_answered |= error.__cause__ is None
                if error.code is Code.UNAUTHENTICATED and not is_renewed and await self._renewed(ctx):
                    is_renewed = True
                    continue
                if not self._is_worth_another(error, ctx, retry_no, deadline):
                    raise self._as_flyte_error(error, ctx) from error
            else:
                self._has_answered = True
                return answer
            await asyncio.sleep(delay_s(retry_no) if self._has_answered or patience_s() else QUICK_S)
            retry_no += 1

    async def intercept_server_stream(
        self, call_next: Callable[[Q, Any], AsyncIterator[A]], request: Q, ctx: Any
    ) -> AsyncIterator[A]:
        """A stream as it comes; `resumed` opens one again."""
        await self._add_headers(ctx)
        try:
            async for message in call_next(request, ctx):
                self._has_answered = True
                yield message
        except ConnectError as error:
            if was_cancelled(error):
                raise asyncio.CancelledError from error
            if error.code is Code.UNAUTHENTICATED:
                await self._renewed(ctx)
            raise self._as_flyte_error(error, ctx) from error

    async def _add_headers(self, ctx: Any) -> None:
        headers = ctx.request_headers()
        if "x-request-id" not in headers:
            headers["x-request-id"] = uuid4().hex
        for name, value in (await self._credentials.headers()).items():
            headers[name] = value

    async def _renewed(self, ctx: Any) -> bool:
        return await self._credentials.renew(ctx.request_headers().get("authorization"))

    def _is_worth_another(self, error: ConnectError, ctx: Any, retry_no: int, deadline: float) -> bool:
        if error.code is not Code.UNAVAILABLE or (ctx.method().name in _NOT_TWICE and not never_arrived(error)):
            return False
        if patience_s():
            return time.monotonic() < deadline
        if never_arrived(error) and not self._has_answered:
            # Most likely there is no server at all, and somebody sits there and waits.
            return retry_no < min(1, self._settings.rpc_retries)
        return retry_no < self._settings.rpc_retries

    def _as_flyte_error(self, error: ConnectError, ctx: Any) -> BaseException:
        method = ctx.method()
        call = f"{method.service_name.rpartition('.')[2]}.{method.name}"
        return as_flyte_error(error, self._settings.endpoint, call)
