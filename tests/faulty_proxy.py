"""An HTTP proxy on loopback that does to requests what networks and overloaded stores do."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from http.client import HTTPConnection, HTTPMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _CutError(Exception):
    """The connection ends here."""


@dataclass
class Exchange:
    """One request, and what an act may do with it."""

    handler: _Handler
    method: str
    path: str

    @cached_property
    def body(self) -> bytes:
        """What the client sends."""
        return self.handler.rfile.read(self.length)

    @property
    def length(self) -> int:
        """How many bytes that are."""
        return int(self.handler.headers.get("Content-Length") or 0)

    def forward(self) -> tuple[int, HTTPMessage, bytes]:
        """What the server answers."""
        connection = HTTPConnection("127.0.0.1", self.handler.server.upstream_port, timeout=60)
        try:
            connection.putrequest(self.method, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.handler.headers.items():
                if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                    connection.putheader(name, value)
            if self.body or self.method in ("PUT", "POST"):
                connection.putheader("Content-Length", str(len(self.body)))
            connection.endheaders(self.body or None)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def answer(self, status: int, headers: list[tuple[str, str]], length: int) -> None:
        """The head of an answer with `length` bytes of body."""
        self.handler.send_response_only(status)
        dropped = ("transfer-encoding", "connection", "content-length")
        for name, value in headers:
            if name.lower() not in dropped:
                self.handler.send_header(name, value)
        self.handler.send_header("Content-Length", str(length))
        self.handler.end_headers()

    def send(self, body: bytes) -> None:
        """Some of the body."""
        if self.method != "HEAD":
            self.handler.wfile.write(body)


Act = Callable[[Exchange], None]


def _pass_on(exchange: Exchange) -> None:
    status, headers, body = exchange.forward()
    length = int(headers["Content-Length"] or 0) if exchange.method == "HEAD" else len(body)
    exchange.answer(status, headers.items(), length)
    exchange.send(body)


def refuse(status: int, code: str) -> Act:
    """The store answers with an error."""

    def act(exchange: Exchange) -> None:
        exchange.handler.rfile.read(exchange.length)
        body = f"<Error><Code>{code}</Code><Message>by the test</Message></Error>".encode()
        exchange.answer(status, [("Content-Type", "application/xml")], len(body))
        exchange.send(body)

    return act


def cut_answer(after: int) -> Act:
    """The connection ends after so many bytes of the answer's body."""

    def act(exchange: Exchange) -> None:
        status, headers, body = exchange.forward()
        exchange.answer(status, headers.items(), len(body))
        exchange.send(body[:after])
        raise _CutError

    return act


def cut_request(exchange: Exchange) -> None:
    """The connection ends in the middle of what the client sends; the server sees nothing of it."""
    exchange.handler.rfile.read(exchange.length // 2)
    raise _CutError


def lose_answer(exchange: Exchange) -> None:
    """The server does what it was asked, and nobody hears of it."""
    exchange.forward()
    raise _CutError


def truncate(to: int) -> Act:
    """The answer is shorter than the object, and says so."""

    def act(exchange: Exchange) -> None:
        status, headers, body = exchange.forward()
        exchange.answer(status, headers.items(), len(body[:to]))
        exchange.send(body[:to])

    return act


def trickle(pieces: int, pause_s: float) -> Act:
    """The body comes slowly, and never stops for long."""

    def act(exchange: Exchange) -> None:
        status, headers, body = exchange.forward()
        exchange.answer(status, headers.items(), len(body))
        step = -(-len(body) // pieces)
        for start in range(0, len(body), step):
            exchange.send(body[start : start + step])
            exchange.handler.server.over.wait(pause_s)

    return act


def stall(exchange: Exchange) -> None:
    """The head comes, and nothing after it."""
    status, headers, body = exchange.forward()
    exchange.answer(status, headers.items(), len(body))
    exchange.handler.server.over.wait()
    raise _CutError


def first(do: Callable[[], object]) -> Act:
    """`do` happens before the request is passed on."""

    def act(exchange: Exchange) -> None:
        do()
        _pass_on(exchange)

    return act


def late(seconds: float) -> Act:
    """The answer comes later."""

    def act(exchange: Exchange) -> None:
        exchange.handler.server.over.wait(seconds)
        _pass_on(exchange)

    return act


@dataclass
class _Rule:
    method: str
    act: Act
    nth: int
    times: float
    having: str
    seen: int = 0


@dataclass
class FaultyProxy:
    """The proxy.

    Attributes:
        url: Its endpoint.
        counts: Requests so far, by method.
    """

    server: _Server
    counts: Counter[str] = field(default_factory=Counter)
    _rules: list[_Rule] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def on(self, method: str, act: Act, *, nth: int = 1, times: float = 1, having: str = "") -> None:
        """From the `nth` request with this method and with `having` in its target, `act` happens to so many."""
        self._rules.append(_Rule(method, act, nth, times, having))

    def always(self, method: str, act: Act, *, having: str = "") -> None:
        """`act` happens to each such request."""
        self.on(method, act, times=float("inf"), having=having)

    def heal(self) -> None:
        """From now on nothing happens."""
        self._rules.clear()

    def act_for(self, exchange: Exchange) -> Act:
        """What happens to a request, which is counted."""
        with self._lock:
            self.counts[exchange.method] += 1
            chosen: Act = _pass_on
            for rule in self._rules:
                if rule.method == exchange.method and rule.having in exchange.path:
                    rule.seen += 1
                    if rule.nth <= rule.seen < rule.nth + rule.times:
                        chosen = rule.act
            return chosen


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    # Threads are waited for, so that none is left when a test ends.
    daemon_threads = False
    block_on_close = True

    def __init__(self, upstream_port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream_port = upstream_port
        self.over = threading.Event()
        self.connections: set[socket.socket] = set()
        self.proxy = FaultyProxy(self)

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients go away whenever they like."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    # Head and body of an answer go out as they come, or each would wait for the other's acknowledgement.
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        with suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: tests print nothing."""

    def _handle(self) -> None:
        exchange = Exchange(self, self.command, self.path)
        try:
            self.server.proxy.act_for(exchange)(exchange)
        except (_CutError, OSError):
            self.close_connection = True

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle


@contextmanager
def faulty_proxy(upstream_port: int) -> Iterator[FaultyProxy]:
    """A proxy before the server at a port of this machine, until the block ends."""
    with _Server(upstream_port) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, name="faulty-proxy")
        thread.start()
        try:
            yield server.proxy
        finally:
            server.shutdown()
            server.over.set()
            for connection in list(server.connections):
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            thread.join()
