"""What every call of the protocol gets: its errors as codes, its numbers counted, its garbage refused."""

from __future__ import annotations

import asyncio
import json
import time
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, TypeVar

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from connectrpc.server import ConnectASGIApplication
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flyte._server.answers import ENVELOPE_BYTES, refuse_call
from flyte._server.codes import Context, connect_error
from flyte._server.metrics import Metrics
from flyte._server.refusals import RefusedError
from flyte._server.streams import OpenStreams

Request = TypeVar("Request")
Response = TypeVar("Response")
Service = TypeVar("Service")

_WBITS_GZIP = 31


@dataclass(slots=True)
class Call:
    """A call that is being answered.

    Attributes:
        service: Full name of the service, as in its path.
        is_stream: Whether it is answered by a stream.
        is_reached: Whether its request could be read, so that the service has it.
    """

    service: str
    method: str
    is_stream: bool
    is_reached: bool = False
    began: float = field(default_factory=time.perf_counter)


_CALL: ContextVar[Call] = ContextVar("flyte_server_call")


class Calls:
    """Mounts services so that their calls are counted, and their errors have the right codes.

    Args:
        metrics: Where calls are counted.
        streams: The streams that are open.
        max_bytes: Of a request, as it is sent and unpacked.
    """

    def __init__(self, metrics: Metrics, streams: OpenStreams, max_bytes: int) -> None:
        self._metrics = metrics
        self._streams = streams
        self._max_bytes = max_bytes

    def mount(
        self, application: Callable[..., ConnectASGIApplication[Service]], service: Service
    ) -> tuple[str, ASGIApp]:
        """The path and the application of a service, for `create_app`.

        `dict([calls.mount(RunServiceASGIApplication, RunService(...)), ...])` are its services.
        """
        mounted: Any = application(service, interceptors=(self,), compressions=(_Gzip(self._max_bytes),))
        # The methods of a service are described in the other module that is generated of the same file.
        import_module(type(mounted).__module__.removesuffix("_connect") + "_pb2")
        return mounted.path, mounted

    async def run(
        self, call: Call, peer: str, application: ASGIApp, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """The call is answered.

        Nothing that the application says before its service has the request is sent on at once: where that turns out
        to be garbage, the answer is `invalid_argument`, whatever the decoder made of it.
        """
        _CALL.set(call)
        held: list[Message] = []

        async def sent(message: Message) -> None:
            if call.is_reached:
                await send(message)
            else:
                held.append(message)

        limited = self._limited(scope, receive)
        try:
            if call.is_stream:
                await self._streams.run(peer, application, scope, limited, sent)
            else:
                await application(scope, limited, sent)
        except Exception as error:
            if call.is_reached:
                # Its service has failed, and the caller has been told by the interceptor.
                return
            refusal = _of_unread(error)
            self._metrics.count_call(call.service, call.method, refusal.code.value, None)
            await refuse_call(scope, send, refusal.code, refusal.message)
            return
        if (text := _of_decoder(held)) is not None:
            self._metrics.count_call(call.service, call.method, Code.INVALID_ARGUMENT.value, None)
            await refuse_call(scope, send, Code.INVALID_ARGUMENT, f"the request cannot be read: {text}")
            return
        for message in held:
            await send(message)

    async def intercept_unary(
        self,
        call_next: Callable[[Request, Context], Awaitable[Response]],
        request: Request,
        ctx: Context,
    ) -> Response:
        """The answer of the service; its errors have their codes."""
        with self._settled():
            return await call_next(request, ctx)

    async def intercept_server_stream(
        self,
        call_next: Callable[[Request, Context], AsyncIterator[Response]],
        request: Request,
        ctx: Context,
    ) -> AsyncGenerator[Response, None]:
        """The messages of the service; its errors have their codes."""
        with self._settled():
            stream: Any = call_next(request, ctx)
            async with aclosing(stream):
                async for message in stream:
                    yield message

    @contextmanager
    def _settled(self) -> Iterator[None]:
        call = _CALL.get()
        call.is_reached = True
        code = "ok"
        try:
            yield
        except asyncio.CancelledError as error:
            code = Code.CANCELED.value
            if self._streams.is_stopping and call.is_stream:
                code = Code.UNAVAILABLE.value
                raise ConnectError(Code.UNAVAILABLE, "the server stops: try again in a moment.") from error
            raise
        except GeneratorExit:
            code = Code.CANCELED.value
            raise
        except Exception as error:
            refusal = connect_error(error, f"{call.service}/{call.method}")
            code = refusal.code.value
            raise refusal from error
        finally:
            seconds = None if call.is_stream else time.perf_counter() - call.began
            self._metrics.count_call(call.service, call.method, code, seconds)

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        """`receive`, which refuses a request that is too large, as soon as that shows."""
        left = self._max_bytes
        refusal = ConnectError(Code.INVALID_ARGUMENT, f"a request may have {self._max_bytes} bytes, and this has more.")

        async def limited() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise refusal
            return message

        return limited


class _Gzip:
    """Gzip that unpacks no more than a request may have. Answers are packed lightly: they go a short way."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes

    def name(self) -> str:
        """As in the headers of HTTP."""
        return "gzip"

    def compress(self, data: bytes | bytearray | memoryview) -> bytes:
        """`data`, packed."""
        return zlib.compress(data, 1, _WBITS_GZIP)

    def decompress(self, data: bytes | bytearray | memoryview) -> bytes:
        """What was packed.

        Raises:
            ConnectError: it was not packed so, or is too large.
        """
        unpacking = zlib.decompressobj(_WBITS_GZIP)
        try:
            unpacked = unpacking.decompress(data, self._max_bytes + 1)
        except zlib.error as error:
            raise ConnectError(
                Code.INVALID_ARGUMENT, f"the request is not packed with gzip as it says: {error}."
            ) from None
        if len(unpacked) > self._max_bytes:
            raise ConnectError(
                Code.INVALID_ARGUMENT, f"a request may have {self._max_bytes} bytes, and this unpacks to more."
            )
        if not unpacking.eof:
            raise ConnectError(Code.INVALID_ARGUMENT, "the request is packed with gzip, and cut short.")
        return unpacked


def _of_decoder(held: list[Message]) -> str | None:
    """What the end of a stream says that never began, where that blames the server: clients would ask again."""
    body = b"".join(message.get("body", b"") for message in held)
    try:
        error = json.loads(body[ENVELOPE_BYTES:])["error"]
        return str(error["message"]) if error["code"] == Code.INTERNAL.value else None
    except (ValueError, KeyError, TypeError):
        return None


def _of_unread(error: Exception) -> ConnectError:
    # Nothing but the reading of the request was under way.
    if isinstance(error, ConnectError | RefusedError):
        return connect_error(error, "")
    return ConnectError(Code.INVALID_ARGUMENT, f"the request cannot be read: {error or type(error).__name__}")
