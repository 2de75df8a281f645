"""What the process of an action says to its control plane, in either of the two families of services.

A control plane offers `ActionsService`, or `QueueService` with `StateService`, or both; it tells the process which one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from flyteidl2.actions.actions_service_pb2 import AbortRequest, Action, EnqueueRequest, WatchForUpdatesRequest
from flyteidl2.common.identifier_pb2 import ActionIdentifier
from flyteidl2.workflow.queue_service_pb2 import AbortQueuedActionRequest, EnqueueActionRequest
from flyteidl2.workflow.state_service_pb2 import ActionUpdate, WatchRequest

from flyte._rpc.tokens import Credentials

if TYPE_CHECKING:
    from flyte._rpc.settings import SessionSettings

ENQUEUE_TIMEOUT_MS = 5_000
"""So long may the control plane take to say that it has an action; then it is asked again."""


class InTaskClient(Protocol):
    """One family of services. Lives on one event loop; errors are `connectrpc.errors.ConnectError`s."""

    async def enqueue(self, action: Action) -> None:
        """The control plane has the action."""
        ...

    def watch(self, parent: ActionIdentifier) -> AsyncIterator[ActionUpdate | None]:
        """The state of each child of an action, then None, then each change."""
        ...

    async def abort(self, action_id: ActionIdentifier, parent_name: str) -> None:
        """The action is being ended, if it goes on."""
        ...

    def renew(self) -> None:
        """Further calls use connections of their own: those there are do not answer."""
        ...


def in_task_client(settings: SessionSettings, *, uses_actions: bool) -> InTaskClient:
    """The client of one family; making it calls nobody.

    Args:
        settings: How the control plane is reached.
        uses_actions: It is to be asked by `ActionsService`.
    """
    return _ActionsClient(settings) if uses_actions else _QueueClient(settings)


class _Family(ABC):
    def __init__(self, settings: SessionSettings) -> None:
        self._settings = settings
        self._credentials = Credentials(settings)
        self.renew()

    def renew(self) -> None:
        from flyte._rpc.sessions import Session

        # Bodies are small, and mostly for this machine: to compress them takes longer than to send them.
        plain = {"send_compression": None, "accept_compression": (), "interceptors": (self,)}
        self._connect(self._settings.endpoint.url, {"http_client": Session(self._settings).http, **plain})

    async def intercept_unary(self, call_next: Callable[[Any, Any], Awaitable[Any]], request: Any, ctx: Any) -> Any:
        """A call that says who makes it, once more where the token was refused and may be another by now."""
        refused = await self._add_credentials(ctx)
        try:
            return await call_next(request, ctx)
        except ConnectError as error:
            if error.code is not Code.UNAUTHENTICATED or not await self._credentials.renew(refused):
                raise
            await self._add_credentials(ctx)
            return await call_next(request, ctx)

    async def intercept_server_stream(
        self, call_next: Callable[[Any, Any], AsyncIterator[Any]], request: Any, ctx: Any
    ) -> AsyncIterator[Any]:
        """The same for a stream, which whoever reads it opens once more."""
        refused = await self._add_credentials(ctx)
        try:
            async for message in call_next(request, ctx):
                yield message
        except ConnectError as error:
            if error.code is Code.UNAUTHENTICATED and await self._credentials.renew(refused):
                raise ConnectError(Code.UNAVAILABLE, "the token was refused, and is asked for again") from error
            raise

    async def _add_credentials(self, ctx: Any) -> str | None:
        headers = ctx.request_headers()
        for name, value in (await self._credentials.headers()).items():
            headers[name] = value
        authorization: str | None = headers.get("authorization")
        return authorization

    @abstractmethod
    def _connect(self, url: str, settings: dict[str, Any]) -> None:
        """The clients of the services are made anew."""


def _headers(action_id: ActionIdentifier, parent_name: str) -> dict[str, str]:
    run = action_id.run
    return {
        "x-request-id": uuid4().hex,
        "x-actions-project": run.project,
        "x-actions-domain": run.domain,
        "x-actions-run": run.name,
        "x-actions-parent-action": parent_name,
    }


class _ActionsClient(_Family):
    def _connect(self, url: str, settings: dict[str, Any]) -> None:
        from flyteidl2.actions.actions_service_connect import ActionsServiceClient

        self._actions = ActionsServiceClient(url, **settings)

    async def enqueue(self, action: Action) -> None:
        headers = _headers(action.action_id, action.parent_action_name)
        await self._actions.enqueue(EnqueueRequest(action=action), headers=headers, timeout_ms=ENQUEUE_TIMEOUT_MS)

    async def watch(self, parent: ActionIdentifier) -> AsyncIterator[ActionUpdate | None]:
        request = WatchForUpdatesRequest(parent_action_id=parent)
        async for message in self._actions.watch_for_updates(request, headers=_headers(parent, parent.name)):
            yield message.action_update if message.HasField("action_update") else None

    async def abort(self, action_id: ActionIdentifier, parent_name: str) -> None:
        request = AbortRequest(action_id=action_id)
        headers = _headers(action_id, parent_name)
        await self._actions.abort(request, headers=headers, timeout_ms=ENQUEUE_TIMEOUT_MS)


class _QueueClient(_Family):
    def _connect(self, url: str, settings: dict[str, Any]) -> None:
        from flyteidl2.workflow.queue_service_connect import QueueServiceClient
        from flyteidl2.workflow.state_service_connect import StateServiceClient

        self._queue = QueueServiceClient(url, **settings)
        self._state = StateServiceClient(url, **settings)

    async def enqueue(self, action: Action) -> None:
        request = EnqueueActionRequest(
            action_id=action.action_id,
            parent_action_name=action.parent_action_name,
            input_uri=action.input_uri,
            run_output_base=action.run_output_base,
            group=action.group,
            task=action.task if action.HasField("task") else None,
            trace=action.trace if action.HasField("trace") else None,
            condition=action.condition if action.HasField("condition") else None,
        )
        headers = _headers(action.action_id, action.parent_action_name)
        await self._queue.enqueue_action(request, headers=headers, timeout_ms=ENQUEUE_TIMEOUT_MS)

    async def watch(self, parent: ActionIdentifier) -> AsyncIterator[ActionUpdate | None]:
        request = WatchRequest(parent_action_id=parent)
        async for message in self._state.watch(request, headers=_headers(parent, parent.name)):
            yield message.action_update if message.HasField("action_update") else None

    async def abort(self, action_id: ActionIdentifier, parent_name: str) -> None:
        request = AbortQueuedActionRequest(action_id=action_id)
        headers = _headers(action_id, parent_name)
        await self._queue.abort_queued_action(request, headers=headers, timeout_ms=ENQUEUE_TIMEOUT_MS)
