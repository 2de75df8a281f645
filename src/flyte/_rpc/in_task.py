"""What the process of an action says to its control plane, in either of the two families of services.

A control plane offers `ActionsService`, or `QueueService` with `StateService`, or both; it tells the process which one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from flyteidl2.actions.actions_service_pb2 import AbortRequest, Action, EnqueueRequest, WatchForUpdatesRequest
from flyteidl2.common.identifier_pb2 import ActionIdentifier
from flyteidl2.workflow.queue_service_pb2 import AbortQueuedActionRequest, EnqueueActionRequest
from flyteidl2.workflow.state_service_pb2 import ActionUpdate, WatchRequest

if TYPE_CHECKING:
    from pyqwest import Client

ENQUEUE_TIMEOUT_MS = 5_000
"""So long may the control plane take to say that it has an action; then it is asked again."""


@dataclass(frozen=True, slots=True)
class InTaskEndpoint:
    """The control plane of a process.

    Attributes:
        address: Host and port, with or without a scheme, which says nothing.
        insecure: It is called without TLS.
        token: Sent as a bearer token.
        uses_actions: It is to be asked by `ActionsService`.
    """

    address: str
    insecure: bool = False
    token: str | None = None
    uses_actions: bool = True

    @property
    def url(self) -> str:
        """What requests go to."""
        authority = self.address.strip().partition("://")[2].lstrip("/") or self.address.strip()
        return f"{'http' if self.insecure else 'https'}://{authority.rstrip('/')}"


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


def in_task_client(endpoint: InTaskEndpoint) -> InTaskClient:
    """The client of the family that the control plane is to be asked by; making it calls nobody."""
    return _ActionsClient(endpoint) if endpoint.uses_actions else _QueueClient(endpoint)


class _Family(ABC):
    def __init__(self, endpoint: InTaskEndpoint) -> None:
        self._endpoint = endpoint
        self.renew()

    def renew(self) -> None:
        self._connect({"http_client": self._http(), "send_compression": None, "accept_compression": ()})

    @abstractmethod
    def _connect(self, settings: dict[str, Any]) -> None:
        """The clients of the services are made anew."""

    def _http(self) -> Client:
        from pyqwest import Client, HTTPTransport

        if self._endpoint.insecure:
            return Client(HTTPTransport(enable_otel=False))
        return Client(HTTPTransport(tls_include_system_certs=True, enable_otel=False))

    def _headers(self, action_id: ActionIdentifier, parent_name: str) -> dict[str, str]:
        run = action_id.run
        headers = {
            "x-request-id": uuid4().hex,
            "x-actions-project": run.project,
            "x-actions-domain": run.domain,
            "x-actions-run": run.name,
            "x-actions-parent-action": parent_name,
        }
        if self._endpoint.token:
            headers["authorization"] = f"Bearer {self._endpoint.token}"
        return headers


class _ActionsClient(_Family):
    def _connect(self, settings: dict[str, Any]) -> None:
        from flyteidl2.actions.actions_service_connect import ActionsServiceClient

        self._actions = ActionsServiceClient(self._endpoint.url, **settings)

    async def enqueue(self, action: Action) -> None:
        headers = self._headers(action.action_id, action.parent_action_name)
        await self._actions.enqueue(EnqueueRequest(action=action), headers=headers, timeout_ms=ENQUEUE_TIMEOUT_MS)

    async def watch(self, parent: ActionIdentifier) -> AsyncIterator[ActionUpdate | None]:
        request = WatchForUpdatesRequest(parent_action_id=parent)
        async for message in self._actions.watch_for_updates(request, headers=self._headers(parent, parent.name)):
            yield message.action_update if message.HasField("action_update") else None

    async def abort(self, action_id: ActionIdentifier, parent_name: str) -> None:
        request = AbortRequest(action_id=action_id)
        headers = self._headers(action_id, parent_name)
        await self._actions.abort(request, headers=headers, timeout_ms=ENQUEUE_TIMEOUT_MS)


class _QueueClient(_Family):
    def _connect(self, settings: dict[str, Any]) -> None:
        from flyteidl2.workflow.queue_service_connect import QueueServiceClient
        from flyteidl2.workflow.state_service_connect import StateServiceClient

        self._queue = QueueServiceClient(self._endpoint.url, **settings)
        self._state = StateServiceClient(self._endpoint.url, **settings)

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
        headers = self._headers(action.action_id, action.parent_action_name)
        await self._queue.enqueue_action(request, headers=headers, timeout_ms=ENQUEUE_TIMEOUT_MS)

    async def watch(self, parent: ActionIdentifier) -> AsyncIterator[ActionUpdate | None]:
        request = WatchRequest(parent_action_id=parent)
        async for message in self._state.watch(request, headers=self._headers(parent, parent.name)):
            yield message.action_update if message.HasField("action_update") else None

    async def abort(self, action_id: ActionIdentifier, parent_name: str) -> None:
        request = AbortQueuedActionRequest(action_id=action_id)
        headers = self._headers(action_id, parent_name)
        await self._queue.abort_queued_action(request, headers=headers, timeout_ms=ENQUEUE_TIMEOUT_MS)
