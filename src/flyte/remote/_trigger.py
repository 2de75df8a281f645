"""Triggers of deployed tasks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from flyteidl2.common.identifier_pb2 import TriggerIdentifier
from flyteidl2.common.list_pb2 import ListRequest
from flyteidl2.task.common_pb2 import TriggerAutomationSpec
from flyteidl2.task.task_definition_pb2 import TaskTrigger, TaskTriggerSpec
from flyteidl2.trigger import trigger_definition_pb2 as messages
from flyteidl2.trigger import trigger_service_pb2 as service

from flyte._rpc.settings import current_session
from flyte.remote._class_calls import on_class
from flyte.remote._documents import Document, Startable
from flyte.remote._filters import pages
from flyte.remote._places import page_of, project_id, task_id, task_name, trigger_name
from flyte.remote._task_details import TaskDetails

if TYPE_CHECKING:
    from flyte._authoring.triggers import Trigger as Declared

_task_name = task_name


@dataclass
class TriggerDetails(Document, Startable[...]):
    """All that is known of a trigger; `flyte.run` fires it by hand.

    Attributes:
        pb2: The message.
    """

    pb2: messages.TriggerDetails

    @on_class
    @classmethod
    async def get(cls, *, name: str, task_name: str) -> TriggerDetails:
        """The trigger of that name.

        Raises:
            UnionRpcError: code `NotFound`; there is none.
        """
        session = current_session()
        request = service.GetTriggerDetailsRequest(name=trigger_name(session, name, task_name))
        answer = await session.triggers.get_trigger_details(request)
        return cls(answer.trigger)

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.pb2.id.name.name)

    @property
    def id(self) -> TriggerIdentifier:
        """Its identifier."""
        return self.pb2.id

    @property
    def task_name(self) -> str:
        """The task that it runs."""
        return str(self.pb2.id.name.task_name)

    @property
    def automation_spec(self) -> TriggerAutomationSpec:
        """When it fires."""
        return self.pb2.automation_spec

    @property
    def metadata(self) -> messages.TriggerMetadata:
        """Who deployed and changed it."""
        return self.pb2.metadata

    @property
    def status(self) -> messages.TriggerStatus:
        """When it was deployed and fired."""
        return self.pb2.status

    @property
    def is_active(self) -> bool:
        """Whether it fires by itself."""
        return bool(self.pb2.spec.active)

    @cached_property
    def trigger(self) -> TaskTrigger:
        """As it was deployed with its task."""
        spec = self.pb2.spec
        deployed = TaskTriggerSpec(active=spec.active, run_spec=spec.run_spec, description=spec.description)
        match spec.WhichOneof("input_wrapper"):
            case "inputs":
                deployed.inputs.CopyFrom(spec.inputs)
            case "offloaded_input_data":
                deployed.offloaded_input_data.CopyFrom(spec.offloaded_input_data)
        return TaskTrigger(name=self.name, spec=deployed, automation_spec=self.pb2.automation_spec)


@dataclass
class Trigger(Document):
    """A trigger of a deployed task.

    Attributes:
        pb2: The message.
        details: All that is known of it, where that was asked for.
    """

    pb2: messages.Trigger
    details: TriggerDetails | None = None

    @on_class
    @classmethod
    async def create(cls, trigger: Declared, task_name: str, task_version: str | None = None) -> Trigger:
        """A deployed task has this trigger, in place of one of its name.

        Args:
            trigger: Made by `flyte.Trigger`.
            task_name: The task.
            task_version: Default the one that was deployed last.

        Raises:
            RemoteTaskNotFoundError: there is no such task.
            DeploymentError: an input of the trigger does not fit the task.
        """
        from flyte._serialization.triggers import automation_of, trigger_inputs, trigger_run_spec

        auto_version: Any = "latest" if task_version is None else None
        task = await TaskDetails.fetch(task_name, version=task_version, auto_version=auto_version)
        session = current_session()
        request = service.DeployTriggerRequest(
            name=trigger_name(session, trigger.name, task_name),
            spec=messages.TriggerSpec(
                inputs=trigger_inputs(trigger, task.codec),
                run_spec=trigger_run_spec(trigger),
                active=trigger.auto_activate,
                task_version=task.version,
                description=trigger.description,
            ),
            automation_spec=automation_of(trigger),
        )
        details = (await session.triggers.deploy_trigger(request)).trigger
        return cls(
            messages.Trigger(
                id=details.id,
                metadata=details.metadata,
                status=details.status,
                active=details.spec.active,
                automation_spec=details.automation_spec,
            ),
            TriggerDetails(details),
        )

    @on_class
    @classmethod
    async def get(cls, *, name: str, task_name: str) -> TriggerDetails:
        """All that is known of the trigger of that name.

        Raises:
            UnionRpcError: code `NotFound`; there is none.
        """
        return await TriggerDetails.get.aio(name=name, task_name=task_name)

    @on_class
    @classmethod
    async def listall(
        cls, task_name: str | None = None, task_version: str | None = None, limit: int = 100
    ) -> AsyncIterator[Trigger]:
        """The triggers of a project, or of a task.

        Args:
            task_name: Only those of this task.
            task_version: Only those of this version of it.
            limit: How many at most; below 0 is all.

        Raises:
            ValueError: a version is given, and no task.
        """
        session = current_session()
        if task_name is None:
            if task_version is not None:
                raise ValueError(f"task_version={task_version!r} is of which task? Give task_name too.")
            scope: dict[str, Any] = {"project_id": project_id(session)}
        elif task_version is None:
            scope = {"task_name": _task_name(session, task_name)}
        else:
            scope = {"task_id": task_id(session, task_name, task_version)}

        async def fetch(request: ListRequest) -> tuple[Iterable[messages.Trigger], str]:
            answer = await session.triggers.list_triggers(service.ListTriggersRequest(request=request, **scope))
            return answer.triggers, answer.token

        async for each in pages(fetch, limit=limit):
            yield cls(each)

    @on_class
    @classmethod
    async def update(cls, name: str, task_name: str, active: bool) -> None:
        """The trigger fires by itself, or no more.

        Raises:
            UnionRpcError: code `NotFound`; there is none.
        """
        session = current_session()
        names = [trigger_name(session, name, task_name)]
        await session.triggers.update_triggers(service.UpdateTriggersRequest(names=names, active=active))

    @on_class
    @classmethod
    async def delete(cls, name: str, task_name: str, project: str | None = None, domain: str | None = None) -> None:
        """The trigger is gone.

        Raises:
            UnionRpcError: code `NotFound`; there is none.
        """
        session = current_session()
        names = [trigger_name(session, name, task_name, project, domain)]
        await session.triggers.delete_triggers(service.DeleteTriggersRequest(names=names))

    @property
    def id(self) -> TriggerIdentifier:
        """Its identifier."""
        return self.pb2.id

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.pb2.id.name.name)

    @property
    def task_name(self) -> str:
        """The task that it runs."""
        return str(self.pb2.id.name.task_name)

    @property
    def automation_spec(self) -> TriggerAutomationSpec:
        """When it fires."""
        return self.pb2.automation_spec

    @property
    def url(self) -> str:
        """The address of its page."""
        where = self.pb2.id.name
        return page_of("triggers", where.project, where.domain, where.task_name, where.name)

    async def get_details(self) -> TriggerDetails:
        """All that is known of it."""
        if self.details is None:
            self.details = await TriggerDetails.get.aio(name=self.name, task_name=self.task_name)
        return self.details

    @property
    def is_active(self) -> bool:
        """Whether it fires by itself."""
        return bool(self.pb2.active)
