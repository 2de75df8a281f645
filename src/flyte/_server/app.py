"""The one application under the one port of a server."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

from connectrpc.code import Code
from google.protobuf.descriptor_pool import Default as descriptors
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flyte._server import downloads, uploads
from flyte._server.access import Access, AccessRefusedError, is_of_this_machine, peer_of
from flyte._server.answers import answer, answer_json, answer_text, header, is_call, refuse_call
from flyte._server.callers import Caller, set_caller
from flyte._server.calls import Call, Calls
from flyte._server.codes import connect_error
from flyte._server.health import Health
from flyte._server.limits import RequestRate
from flyte._server.metrics import CONTENT_TYPE, Metrics

_SERVICE = re.compile(r"/[A-Za-z_][\w.]*\.[A-Za-z_]\w*")
_OPEN_SERVICE = "/flyteidl2.auth.AuthMetadataService"
"""Says how to log in, so anybody may ask it."""

_PAGE_OF_RUN = re.compile(r"/v2/domain/([^/]+)/project/([^/]+)/runs/([^/]+)/?")
_PACKED_ANSWERS = (b"accept-encoding", b"connect-accept-encoding")

_PLAIN_STATUS = {Code.UNAUTHENTICATED: 401, Code.PERMISSION_DENIED: 403, Code.UNAVAILABLE: 503}

access_logger = logging.getLogger("flyte.server.access")


@dataclass(frozen=True, slots=True, kw_only=True)
class AppParts:
    """What an application consists of, beside its services.

    Attributes:
        rate: Of requests; None for no limit.
        limits_own_machine: Whether `rate` holds for requests from this machine, too.
        logs_access: Whether each request is logged.
    """

    calls: Calls
    access: Access
    metrics: Metrics
    health: Health
    uploads: uploads.Uploads
    downloads: downloads.Downloads
    rate: RequestRate | None = None
    limits_own_machine: bool = False
    logs_access: bool = False


def create_app(services: Mapping[str, ASGIApp], parts: AppParts) -> ASGIApp:
    """The application.

    Args:
        services: By their path, `/package.Service`, as `Calls.mount` makes them.
        parts: What else it consists of.
    """
    return _App(services, parts)


class _App:
    def __init__(self, services: Mapping[str, ASGIApp], parts: AppParts) -> None:
        self._parts = parts
        self._services = services
        self._streaming: dict[str, bool] = {}
        for path in services:
            methods = descriptors().FindServiceByName(path[1:]).methods_by_name
            self._streaming |= {f"{path}/{name}": method.server_streaming for name, method in methods.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The request is answered."""
        if scope["type"] != "http":
            raise RuntimeError(f"this server speaks HTTP, not {scope['type']}.")
        began, status = time.perf_counter(), 0

        async def noted(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._route(scope, receive, noted)
        except AccessRefusedError as refusal:
            await _refuse(scope, noted, refusal.code, str(refusal))
        except Exception as error:
            if status:
                raise
            unforeseen = connect_error(error, f"{scope['method']} {scope['path']}")
            await _refuse(scope, noted, unforeseen.code, unforeseen.message)
        finally:
            if self._parts.logs_access:
                milliseconds = round((time.perf_counter() - began) * 1000, 1)
                access_logger.info(
                    *("%s %s %s", scope["method"], scope["path"], status),
                    extra={"peer": peer_of(scope), "ms": milliseconds},
                )

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts, path = self._parts, scope["path"]
        parts.access.check_site(scope)
        if not self._is_within_rate(scope):
            await _refuse(scope, send, Code.UNAVAILABLE, "too many requests: try again in a moment.")
        elif path == "/healthz":
            await answer_json(send, 200, parts.health.life())
        elif path == "/readyz":
            await self._tell_readiness(send)
        elif path.startswith(uploads.PREFIX):
            await self._transfer(("PUT",), parts.uploads.receive, scope, receive, send)
        elif path.startswith(downloads.PREFIX):
            await self._transfer(("GET", "HEAD"), parts.downloads.serve, scope, receive, send)
        else:
            caller = Caller() if path.startswith(f"{_OPEN_SERVICE}/") else parts.access.admit(scope)
            set_caller(caller)
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        service, _, method = path.rpartition("/")
        if path in self._streaming:
            await self._call(service, method, scope, receive, send)
        elif _SERVICE.fullmatch(service):
            what = f"{service[1:]}" if service not in self._services else f"{service[1:]}/{method}"
            await refuse_call(scope, send, Code.UNIMPLEMENTED, f"this server does not offer {what}.")
        elif path == "/metrics":
            await answer(send, 200, await self._parts.metrics.text(), CONTENT_TYPE)
        elif path == "/v2" or path.startswith("/v2/"):
            await answer_text(send, 200, _page(path))
        else:
            await answer_text(send, 404, f"there is nothing at {path!r}.")

    async def _call(self, service: str, method: str, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await answer(send, 405, b"calls are made with POST.\n", "text/plain; charset=utf-8", [(b"allow", b"POST")])
            return
        if header(scope, b"content-type").startswith("application/grpc"):
            await answer_text(send, 415, "this server speaks the Connect protocol, not gRPC.")
            return
        if is_of_this_machine(scope):
            # Packing costs more than it saves on the way from here to here.
            scope = {**scope, "headers": [each for each in scope["headers"] if each[0] not in _PACKED_ANSWERS]}
        call = Call(service[1:], method, self._streaming[scope["path"]])
        await self._parts.calls.run(call, peer_of(scope), self._services[service], scope, receive, send)

    async def _transfer(
        self, methods: tuple[str, ...], transfer: ASGIApp, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if scope["method"] not in methods:
            allowed = ", ".join(methods)
            text = f"this address is for {allowed}.\n".encode()
            await answer(send, 405, text, "text/plain; charset=utf-8", [(b"allow", allowed.encode())])
            return
        await transfer(scope, receive, send)

    async def _tell_readiness(self, send: Send) -> None:
        reason = await self._parts.health.why_not_ready()
        if reason is None:
            await answer_json(send, 200, {"status": "ready"})
        else:
            await answer_json(send, 503, {"status": "not ready", "reason": reason})

    def _is_within_rate(self, scope: Scope) -> bool:
        rate = self._parts.rate
        if rate is None or (is_of_this_machine(scope) and not self._parts.limits_own_machine):
            return True
        return rate.admits(peer_of(scope))


async def _refuse(scope: Scope, send: Send, code: Code, text: str) -> None:
    if is_call(scope):
        await refuse_call(scope, send, code, text)
        return
    status = _PLAIN_STATUS.get(code, 500)
    more = [(b"www-authenticate", b"Bearer")] if status == 401 else []
    await answer(send, status, f"{text}\n".encode(), "text/plain; charset=utf-8", more)


def _page(path: str) -> str:
    match = _PAGE_OF_RUN.fullmatch(path)
    if match is None:
        return "This server has no pages yet: `flyte get run` lists its runs."
    domain, project, run = match.groups()
    shown = f"`flyte get run {run}` shows it"
    return f"Run {run} of project {project}, domain {domain}. This server has no pages yet: {shown}."
