"""Runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyteidl2.common.identifier_pb2 import ActionIdentifier, RunIdentifier
from flyteidl2.common.list_pb2 import ListRequest
from flyteidl2.workflow import run_definition_pb2 as messages
from flyteidl2.workflow import run_service_pb2 as service

from flyte._rpc.failures import NOT_FOUND
from flyte._rpc.retries import patient
from flyte._rpc.settings import current_session
from flyte.errors import UnionRpcError
from flyte.models import ActionPhase, CodeBundle
from flyte.remote._action import Action, listed
from flyte.remote._action_details import ActionDetails
from flyte.remote._class_calls import on_class
from flyte.remote._documents import Document
from flyte.remote._failures import no_such_run
from flyte.remote._filters import SortBy, TimeFilter, equal, in_phase, pages, sorting, times, with_labels
from flyte.remote._places import page_of, project_id, run_id
from flyte.remote._values import ActionInputs, ActionOutputs
from flyte.remote._waiting import WaitFor, wait_for
from flyte.syncify import syncify

if TYPE_CHECKING:
    from flyte.types._codec import InterfaceCodec

_DEBUG_LOG = "VSCODE"


@dataclass
class RunDetails(Document):
    """All that is known of a run: how it was asked for, and its root action.

    Attributes:
        pb2: The message.
        action_details: Its root action.
    """

    pb2: messages.RunDetails
    _preserve_original_types: bool = False
    action_details: ActionDetails = field(init=False)

    def __post_init__(self) -> None:
        self.action_details = ActionDetails(self.pb2.action, _preserve_original_types=self._preserve_original_types)

    @on_class
    @classmethod
    async def get_details(cls, run_id: RunIdentifier) -> RunDetails:
        """The run of that identifier.

        Raises:
            RunNotFoundError: there is none.
        """
        request = service.GetRunDetailsRequest(run_id=run_id)
        try:
            answer = await current_session().runs.get_run_details(request)
        except UnionRpcError as error:
            if error.code == NOT_FOUND:
                raise no_such_run(run_id.name, error) from error
            raise
        return cls(answer.details)

    @on_class
    @classmethod
    async def get(cls, name: str | None = None) -> RunDetails:
        """The run of that name.

        Raises:
            RunNotFoundError: there is none.
            ValueError: no name is given.
        """
        if not name:
            raise ValueError("which run? Give its name.")
        return await cls.get_details.aio(run_id(current_session(), name))

    @property
    def name(self) -> str:
        """The name of the root action."""
        return self.action_details.name

    @property
    def task_name(self) -> str | None:
        """The task that was run."""
        return self.action_details.task_name

    @property
    def action_id(self) -> ActionIdentifier:
        """The identifier of the root action."""
        return self.action_details.action_id

    def done(self) -> bool:
        """Whether it has ended."""
        return self.action_details.done()

    async def inputs(self) -> ActionInputs:
        """The inputs of the root task."""
        return await self.action_details.inputs()

    async def outputs(self) -> ActionOutputs:
        """The outputs of the root task; errors as of `ActionDetails.outputs`."""
        return await self.action_details.outputs()

    async def output_literals(self) -> dict[str, Any]:
        """The outputs as `flyteidl2` literals by name."""
        return await self.action_details.output_literals()

    async def input_literals(self) -> dict[str, Any]:
        """The inputs as `flyteidl2` literals by name."""
        return await self.action_details.input_literals()

    async def typed_outputs(
        self, types: Mapping[str, type], deserializers: Mapping[type, Callable[[Any], Any]] | None = None
    ) -> dict[str, Any]:
        """Some outputs, as the types that are named; see `ActionDetails.typed_inputs`."""
        return await self.action_details.typed_outputs(types, deserializers)

    async def typed_inputs(
        self, types: Mapping[str, type], deserializers: Mapping[type, Callable[[Any], Any]] | None = None
    ) -> dict[str, Any]:
        """Some inputs, as the types that are named; see `ActionDetails.typed_inputs`."""
        return await self.action_details.typed_inputs(types, deserializers)


@dataclass
class Run(Document):
    """A run on a control plane.

    What it says of itself is as it was when it was last asked for; `wait`, `watch`, `details` and `outputs` ask.

    Attributes:
        pb2: The message.
    """

    pb2: messages.Run
    _details: RunDetails | None = None
    _preserve_original_types: bool = False
    _codec: InterfaceCodec | None = field(default=None, repr=False)
    """Of the root task, where its code is in this process."""

    @on_class
    @classmethod
    async def listall(
        cls,
        in_phase: tuple[ActionPhase | str, ...] | None = None,
        task_name: str | None = None,
        task_version: str | None = None,
        created_by_subject: str | None = None,
        sort_by: SortBy | None = None,
        limit: int = 100,
        project: str | None = None,
        domain: str | None = None,
        created_at: TimeFilter | None = None,
        updated_at: TimeFilter | None = None,
        with_labels: dict[str, str] | None = None,
        with_label_keys: list[str] | None = None,
        paused_actions_only: bool = False,
    ) -> AsyncIterator[Run]:
        """Runs of a project.

        Args:
            in_phase: Only those in one of these phases.
            task_name: Only those of this task.
            task_version: Only those of this version of a task.
            created_by_subject: Only those that this person or program asked for.
            sort_by: A field, and `asc` or `desc`; default the newest first.
            limit: How many at most; below 0 is all.
            project: Default that of `flyte.init`.
            domain: Default that of `flyte.init`.
            created_at: Only those made in this time.
            updated_at: Only those changed in this time.
            with_labels: Only those with these labels.
            with_label_keys: Only those with labels of these names.
            paused_actions_only: Only those that wait for an answer.
        """
        session = current_session()
        place = project_id(session, project, domain)

        async def fetch(request: ListRequest) -> tuple[Iterable[messages.Run], str]:
            answer = await session.runs.list_runs(
                service.ListRunsRequest(request=request, project_id=place, paused_actions_only=paused_actions_only)
            )
            return answer.runs, answer.token

        filters = [
            *_in_phase(in_phase),
            *equal("task_name", task_name),
            *equal("task_version", task_version),
            *equal("created_by", created_by_subject),
            *times(created_at, updated_at),
            *_with_labels(with_labels, with_label_keys),
        ]
        order = sorting(sort_by, ("created_at", "desc"))
        async for each in pages(fetch, filters=filters, sort_by=order, limit=limit):
            yield cls(each)

    @on_class
    @classmethod
    async def get(cls, name: str) -> Run:
        """The run of that name.

        Raises:
            RunNotFoundError: there is none.
        """
        details = await RunDetails.get.aio(name)
        return cls(_run_of(details.pb2), details)

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.pb2.action.id.run.name)

    @property
    def phase(self) -> ActionPhase:
        """Where it is."""
        return ActionPhase.from_protobuf(self.pb2.action.status.phase)

    @property
    def raw_phase(self) -> int:
        """The same as the number in messages."""
        return int(self.pb2.action.status.phase)

    @property
    def action(self) -> Action:
        """Its root action."""
        return Action(self.pb2.action, None if self._details is None else self._details.action_details)

    @property
    def url(self) -> str:
        """The address of its page."""
        run = self.pb2.action.id.run
        return page_of("runs", run.project, run.domain, run.name)

    @syncify
    async def wait(self, quiet: bool = False, wait_for: WaitFor = "terminal") -> None:
        """It has ended, or with `running` has started to run.

        Goes on where the control plane is started again. A run that failed is no error here: see `raise_for_status`.

        Args:
            quiet: Say nothing; else each phase is told on a terminal.
            wait_for: `terminal` or `running`.

        Raises:
            UnionRpcError: the control plane does not answer for a minute.
        """
        if self.done():
            return
        with patient():
            self._take(await _wait_for(self.pb2.action.id, wait_for, quiet=quiet))

    async def watch(self, cache_data_on_done: bool = False) -> AsyncGenerator[ActionDetails, None]:
        """The details of the root action now and after each change, until it has ended."""
        details = (await self._known()).action_details
        async for each in details.watch_updates(cache_data_on_done):
            self._take(each.pb2)
            yield each

    @syncify
    async def show_logs(
        self,
        attempt: int | None = None,
        max_lines: int = 100,
        show_ts: bool = False,
        raw: bool = False,
        filter_system: bool = False,
    ) -> None:
        """The log of the root action is printed; arguments as of `Action.show_logs`."""
        from flyte.remote._logs import show

        await show(
            (await self._known()).action_details,
            attempt,
            max_lines=max_lines,
            show_ts=show_ts,
            raw=raw,
            filter_system=filter_system,
        )

    @syncify
    async def get_logs(
        self, attempt: int | None = None, filter_system: bool = False, show_ts: bool = False
    ) -> AsyncGenerator[str, None]:
        """The lines of the log of the root action as they come; arguments as of `Action.show_logs`."""
        from flyte.remote._logs import tail

        details = (await self._known()).action_details
        async for line in tail(details, attempt, filter_system=filter_system, show_ts=show_ts):
            yield line

    @syncify
    async def get_report(self, attempt: int | None = None) -> str:
        """The report of the root action as HTML.

        Args:
            attempt: The attempt, from 1; default the last one.

        Raises:
            DataNotFoundError: it has none.
        """
        from flyte.remote._downloads import load_report

        return await load_report(self.pb2.action.id, attempt or (await self._known()).action_details.attempts)

    @syncify
    async def code_bundle(self) -> CodeBundle | None:
        """Where its code is; None where the image holds it."""
        return (await self._known()).action_details.code_bundle

    @syncify
    async def download_code(
        self, dest: str | Path | None = None, extract: bool = True, attempt: int | None = None
    ) -> Path:
        """Its code is in a folder here; arguments and errors as of `Action.download_code`."""
        return await self.action.download_code.aio(dest, extract, attempt)

    @syncify
    async def details(self) -> RunDetails:
        """All that is known of it; asked for again until it has ended."""
        return await self._known()

    @syncify
    async def first_failure(self) -> ActionDetails | None:
        """The action that failed first; None where none did."""
        phases = (ActionPhase.FAILED, ActionPhase.TIMED_OUT)
        ended = [each async for each in listed(self.name, phases)]
        if not ended:
            return None
        first = min(ended, key=lambda each: (each.status.end_time.ToNanoseconds(), each.id.name == "a0"))
        return await ActionDetails.get_details.aio(first.id)

    @syncify
    async def raise_for_status(self) -> None:
        """Nothing, where it succeeded or still runs.

        Raises:
            BaseRuntimeError: it did not succeed; what a task that called the root task would see.
        """
        if (error := (await self._known()).action_details.error()) is not None:
            raise error

    @syncify
    async def inputs(self) -> ActionInputs:
        """The inputs of the root task, defaults included."""
        return await (await self._known()).inputs()

    @syncify
    async def outputs(self) -> ActionOutputs:
        """The outputs of the root task, waited for; one None for a task without outputs.

        Raises:
            BaseRuntimeError: it did not succeed.
        """
        return await (await self._ended()).outputs()

    @syncify
    async def output_literals(self) -> dict[str, Any]:
        """The outputs as `flyteidl2` literals by name, waited for."""
        return await (await self._ended()).output_literals()

    @syncify
    async def input_literals(self) -> dict[str, Any]:
        """The inputs as `flyteidl2` literals by name."""
        return await (await self._known()).input_literals()

    @syncify
    async def typed_outputs(
        self, types: Mapping[str, type], deserializers: Mapping[type, Callable[[Any], Any]] | None = None
    ) -> dict[str, Any]:
        """Some outputs, as the types that are named; see `ActionDetails.typed_inputs`."""
        return await (await self._ended()).typed_outputs(types, deserializers)

    @syncify
    async def typed_inputs(
        self, types: Mapping[str, type], deserializers: Mapping[type, Callable[[Any], Any]] | None = None
    ) -> dict[str, Any]:
        """Some inputs, as the types that are named; see `ActionDetails.typed_inputs`."""
        return await (await self._known()).typed_inputs(types, deserializers)

    @syncify
    async def get_debug_url(self) -> str | None:
        """The address of an editor in the process of the root action; None where none was started."""
        for attempt in (await self._known()).action_details.pb2.attempts:
            for log in attempt.log_info:
                if _DEBUG_LOG in log.name.upper().replace(" ", ""):
                    return str(log.uri)
        return None

    @syncify
    async def abort(self, reason: str = "Manually aborted from the SDK api.") -> None:
        """It is aborted, with all its actions."""
        await current_session().runs.abort_run(service.AbortRunRequest(run_id=self.pb2.action.id.run, reason=reason))

    def done(self) -> bool:
        """Whether it has ended, as far as is known here."""
        return self.phase.is_terminal

    def sync(self) -> Run:
        """This object."""
        return self

    async def _known(self) -> RunDetails:
        if self._details is None or not self._details.done():
            with patient():
                self._details = await RunDetails.get_details.aio(self.pb2.action.id.run)
            self._details.action_details._codec = self._codec
            self.pb2 = _run_of(self._details.pb2, self.pb2)
        return self._details

    async def _ended(self) -> RunDetails:
        with patient():
            if not self.done():
                self._take(await _wait_for(self.pb2.action.id, "terminal", quiet=True))
            return await self._known()

    def _take(self, details: messages.ActionDetails) -> None:
        self.pb2.action.CopyFrom(messages.Action(id=details.id, metadata=details.metadata, status=details.status))

    def __repr__(self) -> str:
        phase = self.phase.value if self.pb2.action.status.phase else "unknown"
        return f"Run(name={self.name!r}, phase={phase!r}, url={self.url!r})"


_in_phase, _with_labels, _wait_for = in_phase, with_labels, wait_for


def _run_of(details: messages.RunDetails, before: messages.Run | None = None) -> messages.Run:
    action = details.action
    labels = dict(details.run_spec.labels.values) or (dict(before.labels) if before is not None else {})
    return messages.Run(
        action=messages.Action(id=action.id, metadata=action.metadata, status=action.status), labels=labels
    )
