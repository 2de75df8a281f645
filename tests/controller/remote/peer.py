"""A control plane for the controllers of attempts: the two families of services over HTTP, with faults on demand.

It knows actions by name and what a test says comes of them; it starts no processes.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.actions.actions_service_connect import ActionsService, ActionsServiceASGIApplication
from flyteidl2.actions.actions_service_pb2 import (
    AbortRequest,
    AbortResponse,
    Action,
    EnqueueRequest,
    EnqueueResponse,
    WatchForUpdatesRequest,
    WatchForUpdatesResponse,
)
from flyteidl2.common.phase_pb2 import ActionPhase as PhaseMessage
from flyteidl2.core.execution_pb2 import ExecutionError
from flyteidl2.core.literals_pb2 import Literal
from flyteidl2.task.common_pb2 import Inputs, Outputs
from flyteidl2.workflow.queue_service_connect import QueueService, QueueServiceASGIApplication
from flyteidl2.workflow.queue_service_pb2 import (
    AbortQueuedActionRequest,
    AbortQueuedActionResponse,
    EnqueueActionRequest,
    EnqueueActionResponse,
)
from flyteidl2.workflow.state_service_connect import StateService, StateServiceASGIApplication
from flyteidl2.workflow.state_service_pb2 import ActionUpdate, ControlMessage, WatchRequest, WatchResponse

_TRACE_OUTCOMES = (PhaseMessage.ACTION_PHASE_SUCCEEDED, PhaseMessage.ACTION_PHASE_FAILED)


@dataclass(frozen=True, slots=True)
class End:
    """What comes of an action: outputs, a value, or an error.

    Attributes:
        error: Of an action that has not succeeded.
        value: Of a condition.
    """

    outputs: Outputs | None = None
    phase: PhaseMessage.ValueType = PhaseMessage.ACTION_PHASE_SUCCEEDED
    error: ExecutionError | None = None
    value: Literal | None = None


Script = Callable[[Action, Inputs], End | None]
"""What comes of a task or condition that is enqueued; None leaves it running."""


@dataclass
class Faults:
    """What goes wrong.

    Attributes:
        enqueue: Codes that the next requests are refused with, after they were carried out or not.
        is_enqueued: A refused request was carried out all the same.
        cut_after: The next streams end after so many messages.
        no_sentinel: Streams do not say when all is told.
        watch: Codes that the next streams are refused with.
        delay_s: How long each request takes.
    """

    enqueue: list[Code] = field(default_factory=list)
    is_enqueued: bool = False
    cut_after: list[int] = field(default_factory=list)
    no_sentinel: bool = False
    watch: list[Code] = field(default_factory=list)
    delay_s: float = 0.0


class Peer:
    """What is enqueued, and what comes of it. All of it happens on the loop of its thread.

    Attributes:
        enqueued: Each request to enqueue, in order, also those of actions that are there already.
        aborted: Names of actions that were aborted.
        headers: Of each request to enqueue.
        watches: How many streams were opened.
        in_flight: The most requests to enqueue that there were at a time.
    """

    def __init__(self, folder: Path, script: Script) -> None:
        self.script = script
        self.faults = Faults()
        self.enqueued: list[Action] = []
        self.aborted: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.watches = 0
        self.in_flight = 0
        self._now_in_flight = 0
        self._folder = folder
        self._states: dict[str, dict[str, ActionUpdate]] = defaultdict(dict)
        self._streams: set[asyncio.Queue[ActionUpdate | None]] = set()

    def tell(self, parent: str, update: ActionUpdate) -> None:
        """The state of a child, to those who watch its parent."""
        self._states[parent][update.action_id.name] = update
        for stream in self._streams:
            stream.put_nowait(update)

    def state(self, parent: str, name: str, end: End) -> None:
        """The child is there, and has ended so."""
        update = ActionUpdate(phase=end.phase, output_uri=str(self._folder / name / "1"))
        update.action_id.name = name
        if end.error is not None:
            update.error.CopyFrom(end.error)
        if end.value is not None:
            update.value.CopyFrom(end.value)
        if end.outputs is not None:
            (self._folder / name / "1").mkdir(parents=True, exist_ok=True)
            (self._folder / name / "1" / "outputs.pb").write_bytes(end.outputs.SerializeToString())
        self.tell(parent, update)

    async def enqueue(self, action: Action, headers: dict[str, str]) -> None:
        self._now_in_flight += 1
        self.in_flight = max(self.in_flight, self._now_in_flight)
        try:
            self.headers.append(headers)
            self.enqueued.append(action)
            if self.faults.delay_s:
                await asyncio.sleep(self.faults.delay_s)
            code = self.faults.enqueue.pop(0) if self.faults.enqueue else None
            if code is None or self.faults.is_enqueued:
                self._take(action)
            if code is not None:
                raise ConnectError(code, "so the test says")
        finally:
            self._now_in_flight -= 1

    def _take(self, action: Action) -> None:
        parent, name = action.parent_action_name, action.action_id.name
        if name in self._states[parent]:
            return
        if action.HasField("trace"):
            assert action.trace.phase in _TRACE_OUTCOMES
            update = ActionUpdate(phase=action.trace.phase, output_uri=action.trace.outputs.output_uri)
            update.action_id.name = name
            self.tell(parent, update)
            return
        running = ActionUpdate(phase=PhaseMessage.ACTION_PHASE_RUNNING, output_uri=str(self._folder / name / "1"))
        running.action_id.name = name
        self.tell(parent, running)
        # A condition has none, at whatever address.
        inputs = Inputs() if action.HasField("condition") else Inputs.FromString(Path(action.input_uri).read_bytes())
        end = self.script(action, inputs)
        if end is not None:
            self.state(parent, name, end)

    def abort(self, name: str) -> None:
        self.aborted.append(name)
        for parent, children in self._states.items():
            if name in children:
                self.state(parent, name, End(phase=PhaseMessage.ACTION_PHASE_ABORTED))
                return
        raise ConnectError(Code.NOT_FOUND, name)

    async def watch(self, parent: str) -> AsyncIterator[ActionUpdate | None]:
        self.watches += 1
        if self.faults.watch:
            raise ConnectError(self.faults.watch.pop(0), "so the test says")
        stream: asyncio.Queue[ActionUpdate | None] = asyncio.Queue()
        for update in self._states[parent].values():
            stream.put_nowait(update)
        if not self.faults.no_sentinel:
            stream.put_nowait(None)
        self._streams.add(stream)
        left = self.faults.cut_after.pop(0) if self.faults.cut_after else None
        try:
            while left is None or left > 0:
                yield await stream.get()
                left = None if left is None else left - 1
        finally:
            self._streams.discard(stream)


class _Actions(ActionsService):  # type: ignore[misc]
    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    async def enqueue(self, request: EnqueueRequest, ctx: Any) -> EnqueueResponse:
        await self._peer.enqueue(request.action, dict(ctx.request_headers()))
        return EnqueueResponse()

    async def watch_for_updates(
        self, request: WatchForUpdatesRequest, ctx: Any
    ) -> AsyncIterator[WatchForUpdatesResponse]:
        async for update in self._peer.watch(request.parent_action_id.name):
            if update is None:
                yield WatchForUpdatesResponse(control_message=ControlMessage(sentinel=True))
            else:
                yield WatchForUpdatesResponse(action_update=update)

    async def abort(self, request: AbortRequest, ctx: Any) -> AbortResponse:
        self._peer.abort(request.action_id.name)
        return AbortResponse()


class _Queue(QueueService):  # type: ignore[misc]
    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    async def enqueue_action(self, request: EnqueueActionRequest, ctx: Any) -> EnqueueActionResponse:
        action = Action(
            action_id=request.action_id,
            parent_action_name=request.parent_action_name,
            input_uri=request.input_uri,
            run_output_base=request.run_output_base,
            group=request.group,
            task=request.task if request.HasField("task") else None,
            trace=request.trace if request.HasField("trace") else None,
        )
        await self._peer.enqueue(action, dict(ctx.request_headers()))
        return EnqueueActionResponse()

    async def abort_queued_action(self, request: AbortQueuedActionRequest, ctx: Any) -> AbortQueuedActionResponse:
        self._peer.abort(request.action_id.name)
        return AbortQueuedActionResponse()


class _State(StateService):  # type: ignore[misc]
    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    async def watch(self, request: WatchRequest, ctx: Any) -> AsyncIterator[WatchResponse]:
        async for update in self._peer.watch(request.parent_action_id.name):
            if update is None:
                yield WatchResponse(control_message=ControlMessage(sentinel=True))
            else:
                yield WatchResponse(action_update=update)


Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Listening:
    """A peer that listens on a port of this machine, can be stopped, and listens there again.

    Attributes:
        address: Host and port.
    """

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = int(free.getsockname()[1])
        self.address = f"localhost:{self._port}"
        applications: tuple[Any, ...] = (
            ActionsServiceASGIApplication(_Actions(peer)),
            QueueServiceASGIApplication(_Queue(peer)),
            StateServiceASGIApplication(_State(peer)),
        )
        self._by_path = {application.path: application for application in applications}
        self._handlers: set[asyncio.Task[None]] = set()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Requests are answered from now on."""
        started = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(started,), name="peer")
        self._thread.start()
        assert started.wait(10)

    def stop(self) -> None:
        """All connections are cut, and nobody listens."""
        if self._thread is None:
            return
        self.do(self._stop)
        self._thread.join()
        self._thread = None

    def do(self, act: Callable[[], object]) -> None:
        """`act` is done on the loop of the peer."""

        async def acted() -> None:
            act()

        asyncio.run_coroutine_threadsafe(acted(), self._loop).result(10)

    def _stop(self) -> None:
        self._server.should_exit = True
        for handler in self._handlers:
            handler.cancel()

    def _serve(self, started: threading.Event) -> None:
        config = uvicorn.Config(
            self._application,
            host="127.0.0.1",
            port=self._port,
            log_level="error",
            lifespan="off",
            interface="asgi3",
            timeout_graceful_shutdown=1,
            backlog=2048,
        )
        self._server = uvicorn.Server(config)

        async def main() -> None:
            self._loop = asyncio.get_running_loop()
            serving = asyncio.create_task(self._server.serve())
            while not self._server.started and not serving.done():
                await asyncio.sleep(0.01)
            started.set()
            await serving

        asyncio.run(main())

    async def _application(self, scope: Scope, receive: Receive, send: Send) -> None:
        application = self._by_path[str(scope["path"]).rsplit("/", 1)[0]]

        async def received() -> dict[str, Any]:
            message = await receive()
            if message["type"] == "http.disconnect":
                # A stream that has nothing to say would not notice.
                handler.cancel()
            return message

        handler = asyncio.ensure_future(application(scope, received, send))
        self._handlers.add(handler)
        try:
            await asyncio.wait([handler])
        finally:
            self._handlers.discard(handler)
        error = None if handler.cancelled() else handler.exception()
        if error is not None and not (isinstance(error, ConnectError) and error.code is Code.CANCELED):
            raise error


@contextmanager
def listening(folder: Path, script: Script) -> Iterator[Listening]:
    """A peer that listens while the block runs."""
    server = Listening(Peer(folder, script))
    server.start()
    try:
        yield server
    finally:
        server.stop()
