"""Actions of runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flyteidl2.common.identifier_pb2 import ActionAttemptIdentifier, ActionIdentifier
from flyteidl2.common.list_pb2 import ListRequest
from flyteidl2.workflow import run_definition_pb2 as messages
from flyteidl2.workflow import run_service_pb2 as service

from flyte._rpc.failures import NOT_FOUND
from flyte._rpc.settings import current_session
from flyte.errors import UnionRpcError
from flyte.models import ActionPhase
from flyte.remote._action_details import ActionDetails
from flyte.remote._class_calls import on_class
from flyte.remote._documents import Document
from flyte.remote._failures import no_such_run
from flyte.remote._filters import SortBy, TimeFilter, equal, in_phase, pages, sorting, times
from flyte.remote._places import run_id
from flyte.remote._waiting import WaitFor, wait_for
from flyte.syncify import syncify


@dataclass
class Action(Document):
    """An action as it was when it was listed; `watch`, `wait` and what they are for see it as it is.

    Attributes:
        pb2: The message.
    """

    pb2: messages.Action
    _details: ActionDetails | None = None

    @on_class
    @classmethod
    async def listall(
        cls,
        for_run_name: str,
        in_phase: tuple[ActionPhase | str, ...] | None = None,
        parent_name: str | None = None,
        sort_by: SortBy | None = None,
        created_at: TimeFilter | None = None,
        updated_at: TimeFilter | None = None,
    ) -> AsyncIterator[Action]:
        """The actions of a run.

        Args:
            for_run_name: The run.
            in_phase: Only those in one of these phases.
            parent_name: Only those that this action called.
            sort_by: A field, and `asc` or `desc`; default the oldest first.
            created_at: Only those made in this time.
            updated_at: Only those changed in this time.

        Raises:
            RunNotFoundError: there is no such run.
        """
        async for each in listed(for_run_name, in_phase, parent_name, sort_by, times(created_at, updated_at)):
            yield cls(each)

    @on_class
    @classmethod
    async def get(cls, uri: str | None = None, /, run_name: str | None = None, name: str | None = None) -> Action:
        """The action of that name; arguments and errors as of `ActionDetails.get`."""
        details = await ActionDetails.get.aio(uri, run_name=run_name, name=name)
        return cls(_action_of(details.pb2), details)

    @property
    def phase(self) -> ActionPhase:
        """Where it is."""
        return ActionPhase.from_protobuf(self.pb2.status.phase)

    @property
    def raw_phase(self) -> int:
        """The same as the number in messages."""
        return int(self.pb2.status.phase)

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
        return self.pb2.metadata.task.id.name if self.pb2.metadata.HasField("task") else None

    @property
    def parent_name(self) -> str | None:
        """The action that called it; None for the root action."""
        return self.pb2.metadata.parent or None

    @property
    def relation(self) -> Any:
        """What it was made from, as of `ActionDetails.relation`."""
        return self.pb2.metadata.relation

    @property
    def action_id(self) -> ActionIdentifier:
        """Its identifier."""
        return self.pb2.id

    @property
    def start_time(self) -> datetime:
        """When it was made."""
        moment: datetime = self.pb2.status.start_time.ToDatetime(tzinfo=UTC)
        return moment

    @syncify
    async def abort(self, reason: str = "Manually aborted from the SDK.") -> None:
        """The action, and what it called, is aborted."""
        request = service.AbortActionRequest(action_id=self.pb2.id, reason=reason)
        await current_session().runs.abort_action(request)

    @syncify
    async def show_logs(
        self,
        attempt: int | None = None,
        max_lines: int = 30,
        show_ts: bool = False,
        raw: bool = False,
        filter_system: bool = False,
    ) -> None:
        """The log is printed when it ends, or with `raw` as it comes.

        Args:
            attempt: The attempt, from 1; default the last one.
            max_lines: How many of the last lines, without `raw`.
            show_ts: The time stands before each line.
            raw: Print each line as it comes, however many.
            filter_system: Leave out lines that are not of the task's own code.
        """
        from flyte.remote._logs import show

        await show(
            await self.details(), attempt, max_lines=max_lines, show_ts=show_ts, raw=raw, filter_system=filter_system
        )

    @syncify
    async def get_logs(
        self, attempt: int | None = None, filter_system: bool = False, show_ts: bool = False
    ) -> AsyncGenerator[str, None]:
        """The lines of the log as they come, until the attempt has ended; arguments as of `show_logs`."""
        from flyte.remote._logs import tail

        async for line in tail(await self.details(), attempt, filter_system=filter_system, show_ts=show_ts):
            yield line

    @syncify
    async def get_report(self, attempt: int | None = None) -> str:
        """The report of an attempt as HTML, default the last one.

        Raises:
            DataNotFoundError: it has none.
        """
        from flyte.remote._downloads import load_report

        return await load_report(self.pb2.id, attempt or (await self.details()).attempts)

    @syncify
    async def download_code(
        self, dest: str | Path | None = None, extract: bool = True, attempt: int | None = None
    ) -> Path:
        """The code of the action is in a folder here.

        Args:
            dest: The folder; default one below the working directory.
            extract: Unpack it; else the path of the packed file is returned.
            attempt: The attempt, from 1; default the last one.

        Raises:
            CodeBundleError: it has no code bundle.
        """
        from flyte.remote._downloads import load_code

        details = await self.details()
        attempt_id = ActionAttemptIdentifier(action_id=self.pb2.id, attempt=attempt or max(details.attempts, 1))
        return await load_code(details.code_bundle, attempt_id, dest, extract=extract)

    async def details(self) -> ActionDetails:
        """All that is known of it; asked for again until it has ended."""
        if self._details is None or not self._details.done():
            self._take(await ActionDetails.get_details.aio(self.pb2.id))
        assert self._details is not None
        return self._details

    async def watch(
        self, cache_data_on_done: bool = False, wait_for: WaitFor = "terminal"
    ) -> AsyncGenerator[ActionDetails, None]:
        """The details now and after each change, until it has ended, or with `running` has started to run."""
        async for details in (await self.details()).watch_updates(cache_data_on_done):
            self._take(details)
            yield details
            if wait_for == "running" and details.is_running:
                return

    async def wait(self, quiet: bool = False, wait_for: WaitFor = "terminal") -> None:
        """It has ended, or with `running` has started to run."""
        self._take(ActionDetails(await _wait_for(self.pb2.id, wait_for, quiet=quiet)))

    def done(self) -> bool:
        """Whether it has ended, as far as is known here."""
        return self.phase.is_terminal

    async def sync(self) -> Action:
        """This object."""
        return self

    def _take(self, details: ActionDetails) -> None:
        self._details = details
        self.pb2 = _action_of(details.pb2)


_wait_for = wait_for


async def listed(
    run_name: str,
    phases: Iterable[ActionPhase | str] | None = None,
    parent_name: str | None = None,
    sort_by: SortBy | None = None,
    filters: Iterable[Any] = (),
    limit: int | None = None,
) -> AsyncIterator[messages.Action]:
    """The actions of a run as messages; arguments as of `Action.listall`, and further conditions.

    Raises:
        RunNotFoundError: there is no such run.
    """
    session = current_session()
    run = run_id(session, run_name)

    async def fetch(request: ListRequest) -> tuple[Iterable[messages.Action], str]:
        try:
            answer = await session.runs.list_actions(service.ListActionsRequest(request=request, run_id=run))
        except UnionRpcError as error:
            if error.code == NOT_FOUND:
                raise no_such_run(run_name, error) from error
            raise
        return answer.actions, answer.token

    conditions = [*in_phase(phases), *equal("parent_name", parent_name), *filters]
    order = sorting(sort_by, ("created_at", "asc"))
    async for action in pages(fetch, filters=conditions, sort_by=order, limit=limit):
        yield action


def _action_of(details: messages.ActionDetails) -> messages.Action:
    return messages.Action(id=details.id, metadata=details.metadata, status=details.status)
