"""All that is known of an action."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from flyteidl2.cluster.payload_pb2 import SelectClusterRequest
from flyteidl2.common.identifier_pb2 import ActionIdentifier
from flyteidl2.dataproxy import dataproxy_service_pb2 as data_messages
from flyteidl2.workflow import run_definition_pb2 as messages
from flyteidl2.workflow import run_service_pb2 as service

from flyte._rpc.failures import NOT_FOUND
from flyte._rpc.settings import current_session
from flyte._rpc.streams import resumed
from flyte.errors import ActionNotFoundError, BaseRuntimeError, UnionRpcError
from flyte.models import ActionPhase, CodeBundle
from flyte.remote._addresses import action_of
from flyte.remote._class_calls import on_class
from flyte.remote._clusters import session_for
from flyte.remote._decoding import decode_inputs, decode_outputs, typed
from flyte.remote._documents import Document
from flyte.remote._failures import error_of
from flyte.remote._values import ActionInputs, ActionOutputs

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from flyte.types._codec import InterfaceCodec


@dataclass(frozen=True)
class PhaseTransitionInfo:
    """A stay in a phase.

    Attributes:
        phase: The phase.
        start_time: When it began.
        end_time: When it ended; None while it lasts.
        duration: How long it was, or has been.
    """

    phase: ActionPhase
    start_time: datetime
    end_time: datetime | None
    duration: timedelta


@dataclass
class ActionDetails(Document):
    """An action as it was when it was asked for.

    Attributes:
        pb2: The message.
    """

    pb2: messages.ActionDetails
    _inputs: ActionInputs | None = None
    _outputs: ActionOutputs | None = None
    _preserve_original_types: bool = False
    _action_data: data_messages.GetActionDataResponse | None = None
    _codec: InterfaceCodec | None = field(default=None, repr=False)

    @on_class
    @classmethod
    async def get_details(cls, action_id: ActionIdentifier) -> ActionDetails:
        """The action of that identifier.

        Raises:
            ActionNotFoundError: there is none.
        """
        request = service.GetActionDetailsRequest(action_id=action_id)
        try:
            answer = await current_session().runs.get_action_details(request)
        except UnionRpcError as error:
            if error.code == NOT_FOUND:
                raise ActionNotFoundError(
                    f"run {action_id.run.name!r} has no action {action_id.name!r}: `flyte get action "
                    f"{action_id.run.name}` lists those it has. ({error})"
                ) from error
            raise
        return cls(answer.details)

    @on_class
    @classmethod
    async def get(
        cls, uri: str | None = None, /, run_name: str | None = None, name: str | None = None
    ) -> ActionDetails:
        """The action of that name.

        Args:
            uri: The address of its page, or `run/action`.
            run_name: Its run.
            name: Its name in the run; default the root action.

        Raises:
            ActionNotFoundError: there is none.
            ValueError: it is not said which.
        """
        return await cls.get_details.aio(action_of(uri, run_name, name))

    @on_class
    @classmethod
    async def watch(cls, action_id: ActionIdentifier) -> AsyncIterator[ActionDetails]:
        """The action as it is, and again after each change, until it has ended. Goes on where the server restarts."""
        async for details in watched(action_id):
            yield cls(details)

    async def watch_updates(self, cache_data_on_done: bool = False) -> AsyncGenerator[ActionDetails, None]:
        """This object after each change of the action, until it has ended.

        Args:
            cache_data_on_done: Fetch inputs and outputs before the last item.
        """
        async for details in watched(self.pb2.id):
            self.pb2 = details
            if self.done() and cache_data_on_done:
                with suppress(BaseRuntimeError):
                    await self._data()
            yield self

    @property
    def phase(self) -> ActionPhase:
        """Where it is."""
        return ActionPhase.from_protobuf(self.pb2.status.phase)

    @property
    def raw_phase(self) -> int:
        """The same as the number in messages."""
        return int(self.pb2.status.phase)

    @property
    def is_running(self) -> bool:
        """Whether an attempt runs now."""
        return self.phase is ActionPhase.RUNNING

    @property
    def name(self) -> str:
        """Its name in the run."""
        return str(self.pb2.id.name)

    @property
    def run_name(self) -> str:
        """The run it is in."""
        return str(self.pb2.id.run.name)

    @property
    def task_name(self) -> str | None:
        """The task that it runs; None for a trace or a condition."""
        if self.pb2.metadata.HasField("task"):
            return str(self.pb2.metadata.task.id.name)
        return str(self.pb2.task.task_template.id.name) or None

    @property
    def parent_name(self) -> str | None:
        """The action that called it; None for the root action."""
        return str(self.pb2.metadata.parent) or None

    @property
    def action_id(self) -> ActionIdentifier:
        """Its identifier."""
        return self.pb2.id

    @property
    def code_bundle(self) -> CodeBundle | None:
        """Where its code is; None where the image holds it."""
        template = self.pb2.task.task_template
        uri = template.metadata.code_bundle_uri
        arguments = list(template.container.args)
        for option, kind in (("--tgz", "tgz"), ("--pkl", "pkl")):
            if option in arguments[:-1]:
                uri = arguments[arguments.index(option) + 1]
                return CodeBundle(computed_version=template.id.version, **{kind: uri})
        if not uri:
            return None
        return CodeBundle(computed_version=template.id.version, **{"pkl" if uri.endswith(".pkl.gz") else "tgz": uri})

    @property
    def metadata(self) -> messages.ActionMetadata:
        """What does not change about it."""
        return self.pb2.metadata

    @property
    def relation(self) -> Any:
        """What it was made from: its run is a rerun or recovery of another, or was fired by a trigger."""
        return self.pb2.metadata.relation

    @property
    def status(self) -> messages.ActionStatus:
        """What changes about it."""
        return self.pb2.status

    @property
    def error_info(self) -> messages.ErrorInfo | None:
        """Why it failed; None where it did not."""
        return self.pb2.error_info if self.pb2.HasField("error_info") else None

    @property
    def error_message(self) -> str:
        """Why it failed; empty where it did not."""
        return self.pb2.error_info.message if self.pb2.HasField("error_info") else ""

    @property
    def abort_info(self) -> messages.AbortInfo | None:
        """Why and by whom it was aborted; None where it was not."""
        return self.pb2.abort_info if self.pb2.HasField("abort_info") else None

    @property
    def runtime(self) -> timedelta:
        """How long it took, or has taken."""
        status = self.pb2.status
        if not status.HasField("start_time"):
            return timedelta()
        end = _time(status.end_time) if status.HasField("end_time") else datetime.now(UTC)
        return end - _time(status.start_time)

    def get_phase_transitions(self, attempt: int | None = None) -> list[PhaseTransitionInfo]:
        """The phases that an attempt went through, in their order.

        Args:
            attempt: Its number, from 1; default the last one.
        """
        found = self._attempt(attempt)
        transitions = []
        for each in found.phase_transitions if found is not None else ():
            start = _time(each.start_time)
            end = _time(each.end_time) if each.HasField("end_time") else None
            phase = ActionPhase.from_protobuf(each.phase)
            transitions.append(PhaseTransitionInfo(phase, start, end, (end or datetime.now(UTC)) - start))
        return transitions

    @property
    def phase_durations(self) -> dict[ActionPhase, timedelta]:
        """How long the last attempt was in each phase."""
        durations: dict[ActionPhase, timedelta] = {}
        for each in self.get_phase_transitions():
            if not each.phase.is_terminal:
                durations[each.phase] = durations.get(each.phase, timedelta()) + each.duration
        return durations

    @property
    def queued_time(self) -> timedelta | None:
        """How long it was queued."""
        return self.phase_durations.get(ActionPhase.QUEUED)

    @property
    def waiting_for_resources_time(self) -> timedelta | None:
        """How long it waited for resources."""
        return self.phase_durations.get(ActionPhase.WAITING_FOR_RESOURCES)

    @property
    def initializing_time(self) -> timedelta | None:
        """How long it took to start."""
        return self.phase_durations.get(ActionPhase.INITIALIZING)

    @property
    def running_time(self) -> timedelta | None:
        """How long it ran."""
        return self.phase_durations.get(ActionPhase.RUNNING)

    @property
    def attempts(self) -> int:
        """How many attempts there were."""
        return int(self.pb2.status.attempts) or len(self.pb2.attempts)

    def logs_available(self, attempt: int | None = None) -> bool:
        """Whether an attempt has a log.

        Args:
            attempt: Its number, from 1; default the last one.
        """
        found = self._attempt(attempt)
        return found is not None and found.logs_available

    def done(self) -> bool:
        """Whether it has ended."""
        return self.phase.is_terminal

    def error(self) -> BaseRuntimeError | None:
        """The exception that a task which called it would see; None where it did not fail."""
        return error_of(self.pb2)

    async def inputs(self) -> ActionInputs:
        """Its inputs."""
        if self._inputs is None:
            self._inputs = await decode_inputs(self.pb2, (await self._data()).inputs, self._codec)
        return self._inputs

    async def outputs(self) -> ActionOutputs:
        """Its outputs.

        Raises:
            RuntimeError: it has not ended.
            BaseRuntimeError: it did not succeed.
        """
        if self._outputs is None:
            self._raise_unless_succeeded()
            self._outputs = await decode_outputs(self.pb2, (await self._data()).outputs, self._codec)
        return self._outputs

    async def input_literals(self) -> dict[str, Any]:
        """Its inputs as `flyteidl2` literals by name."""
        return {each.name: each.value for each in (await self._data()).inputs.literals}

    async def output_literals(self) -> dict[str, Any]:
        """Its outputs as `flyteidl2` literals by name."""
        self._raise_unless_succeeded()
        return {each.name: each.value for each in (await self._data()).outputs.literals}

    async def typed_inputs(
        self, types: Mapping[str, type], deserializers: Mapping[type, Callable[[Any], Any]] | None = None
    ) -> dict[str, Any]:
        """Some inputs, as the types that are named.

        Args:
            types: The type by the name of the input.
            deserializers: For types that no converter is registered for: makes the value from what is read plainly.

        Raises:
            ValueError: there is no such input.
        """
        return await typed(await self.input_literals(), types, deserializers or {}, "input")

    async def typed_outputs(
        self, types: Mapping[str, type], deserializers: Mapping[type, Callable[[Any], Any]] | None = None
    ) -> dict[str, Any]:
        """Some outputs, as of `typed_inputs`."""
        return await typed(await self.output_literals(), types, deserializers or {}, "output")

    def _raise_unless_succeeded(self) -> None:
        if not self.done():
            raise RuntimeError(
                f"action {self.run_name}/{self.name} is {self.phase.value} and has no outputs yet: wait for it first."
            )
        if (error := self.error()) is not None:
            raise error

    async def _data(self) -> data_messages.GetActionDataResponse:
        if self._action_data is None:
            session = current_session()
            operation = SelectClusterRequest.OPERATION_GET_ACTION_DATA
            server = await session_for(session, operation, action_id=self.pb2.id)
            answer = await server.data.get_action_data(data_messages.GetActionDataRequest(action_id=self.pb2.id))
            if not self.done():
                return answer
            self._action_data = answer
        return self._action_data

    def _attempt(self, number: int | None) -> messages.ActionAttempt | None:
        attempts = self.pb2.attempts
        if number is None:
            return max(attempts, key=lambda each: each.attempt, default=None)
        return next((each for each in attempts if each.attempt == number), None)


async def watched(action_id: ActionIdentifier) -> AsyncIterator[messages.ActionDetails]:
    """The action as it is, and after each change, until it has ended."""
    request = service.WatchActionDetailsRequest(action_id=action_id)

    def open_stream() -> AsyncIterator[service.WatchActionDetailsResponse]:
        stream: AsyncIterator[Any] = current_session().runs.watch_action_details(request)
        return stream

    async for answer in resumed(open_stream, lambda each: is_over(each.details)):
        yield answer.details


def is_over(details: messages.ActionDetails) -> bool:
    """Whether the action has ended."""
    return bool(details.status.phase) and ActionPhase.from_protobuf(details.status.phase).is_terminal


def _time(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(tzinfo=UTC)
