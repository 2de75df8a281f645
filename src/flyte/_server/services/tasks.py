"""`TaskService`: tasks are deployed, read and listed."""

from __future__ import annotations

from flyteidl2.common.list_pb2 import ListRequest
from flyteidl2.task import task_definition_pb2 as definitions
from flyteidl2.task import task_service_pb2 as messages
from flyteidl2.trigger.trigger_definition_pb2 import TriggerSpec

from flyte._server.callers import current_caller
from flyte._server.codes import Context, answering
from flyte._server.refusals import AlreadyThereError, InvalidRequestError, UnknownError
from flyte._server.services.clock import now_us
from flyte._server.services.identifiers import TASK_NAME_LENGTH, place_of, task_key_of, text_of
from flyte._server.services.list_requests import Column, Listing, flag, moment
from flyte._server.services.places import Places
from flyte._server.services.project_places import require_active_project
from flyte._server.services.run_creation import refuse_notifications
from flyte._server.services.store import ServedStore
from flyte._server.services.triggers import checked_automation, trigger_change
from flyte._server.services.views import identity, timestamp
from flyte._store.reader import StoreReader
from flyte._store.statements import statement
from flyte._store.tasks import DeployedTask, TaskKey, count_tasks, deploy_task, find_task, list_tasks
from flyte._store.triggers import TriggerKey, triggers_of_task
from flyte._store.writer import Change, in_order

_MOST_TRIGGERS = 100

TASKS = Listing(
    key="deployed_task.task_id",
    columns={
        "created_at": Column("deployed_us", moment, sort="deployed_task.task_id"),
        "deployed_at": Column("deployed_us", moment, sort="deployed_task.task_id"),
        "name": Column("name"),
        "version": Column("version"),
        "short_name": Column("short_name"),
        "environment_name": Column("environment_name"),
        "deployed_by": Column("deployed_by"),
        "is_entrypoint": Column("is_entrypoint", flag, is_sortable=False),
    },
)


@answering
class TaskService:
    """Deployed tasks."""

    def __init__(self, store: ServedStore, places: Places) -> None:
        self._store = store
        self._places = places

    async def deploy_task(self, request: messages.DeployTaskRequest, ctx: Context) -> messages.DeployTaskResponse:
        """The version is there, with its triggers; a version that is there stays as it is."""
        key = TaskKey(*task_key_of(request.task_id))
        if not request.HasField("spec") or not request.spec.HasField("task_template"):
            raise InvalidRequestError("spec is missing: expected the spec of the task, with its template.")
        if len(request.triggers) > _MOST_TRIGGERS:
            raise InvalidRequestError(f"triggers has {len(request.triggers)} entries: at most {_MOST_TRIGGERS}.")
        await require_active_project(self._store, self._places, key.project, key.domain)
        triggers = [self._trigger(key, index, each) for index, each in enumerate(request.triggers)]
        is_same = await self._store.write(deploy_task(key, request.spec, current_caller().subject, now_us()))
        if not is_same:
            raise AlreadyThereError(
                f"version {key.version!r} of task {key.name!r} is deployed in {key.project}/{key.domain} with another "
                "spec, and stays so: choose another version."
            )
        if triggers:
            await self._store.write(in_order(*triggers))
        return messages.DeployTaskResponse()

    async def get_task_details(
        self, request: messages.GetTaskDetailsRequest, ctx: Context
    ) -> messages.GetTaskDetailsResponse:
        """The version of a task with its spec."""
        key = TaskKey(*task_key_of(request.task_id))

        def load(reader: StoreReader) -> definitions.TaskDetails:
            found = find_task(reader, key)
            if found is None:
                raise UnknownError(
                    f"there is no task {key.name!r} of version {key.version!r} in {key.project}/{key.domain}: "
                    "`flyte get task` lists those there are."
                )
            task, spec = found
            return definitions.TaskDetails(
                task_id=self._identifier(task.key), metadata=self._metadata(reader, task), spec=spec
            )

        return messages.GetTaskDetailsResponse(details=await self._store.read(load))

    async def list_tasks(self, request: messages.ListTasksRequest, ctx: Context) -> messages.ListTasksResponse:
        """One page of versions of tasks, those deployed last first where nothing else is asked for."""
        conditions: list[str] = []
        parameters: dict[str, object] = {}
        if request.WhichOneof("scope_by") == "project_id":
            conditions, parameters = _place(request.project_id.name, request.project_id.domain)
        scope = list(conditions)
        for index, known in enumerate(request.known_filters):
            if known.WhichOneof("filter_by") == "deployed_by":
                conditions.append(f"deployed_by = :known{index}")
                parameters[f"known{index}"] = known.deployed_by
            elif known.WhichOneof("filter_by") == "is_entrypoint":
                conditions.append(f"is_entrypoint = :known{index}")
                parameters[f"known{index}"] = known.is_entrypoint
        query = TASKS.query(request.request, conditions, parameters)
        whole = TASKS.query(ListRequest(), scope, parameters)

        def load(reader: StoreReader) -> messages.ListTasksResponse:
            with reader.snapshot():
                tasks, page = list_tasks(reader, query)
                shown = [self._listed(reader, task) for task in tasks]
                counts = messages.ListTasksResponse.ListTasksMetadata(
                    total=count_tasks(reader, whole), filtered_total=count_tasks(reader, query)
                )
            return messages.ListTasksResponse(tasks=shown, token=TASKS.token(request.request, page), metadata=counts)

        return await self._store.read(load)

    async def list_versions(self, request: messages.ListVersionsRequest, ctx: Context) -> messages.ListVersionsResponse:
        """One page of the versions of a task, the last one first where nothing else is asked for."""
        task = request.task_name
        conditions, parameters = _place(
            place_of(task.project, "task_name.project"), place_of(task.domain, "task_name.domain")
        )
        conditions.append("name = :task_name")
        parameters["task_name"] = text_of(task.name, "task_name.name", TASK_NAME_LENGTH)
        query = TASKS.query(request.request, conditions, parameters)

        def load(reader: StoreReader) -> messages.ListVersionsResponse:
            tasks, page = list_tasks(reader, query)
            versions = [self._version(reader, task) for task in tasks]
            return messages.ListVersionsResponse(versions=versions, token=TASKS.token(request.request, page))

        return await self._store.read(load)

    def _trigger(self, key: TaskKey, index: int, trigger: definitions.TaskTrigger) -> Change:
        spec = TriggerSpec(
            run_spec=trigger.spec.run_spec,
            active=trigger.spec.active,
            task_version=key.version,
            description=trigger.spec.description,
        )
        given = trigger.spec.WhichOneof("input_wrapper")
        if given is not None:
            getattr(spec, given).CopyFrom(getattr(trigger.spec, given))
        refuse_notifications(spec.run_spec, f"triggers[{index}].spec.run_spec")
        name = text_of(trigger.name, f"triggers[{index}].name", TASK_NAME_LENGTH)
        automation = checked_automation(trigger.automation_spec, f"triggers[{index}].automation_spec")
        return trigger_change(self._places, TriggerKey(key.project, key.domain, key.name, name), spec, automation, 0)

    def _identifier(self, key: TaskKey) -> definitions.TaskIdentifier:
        return definitions.TaskIdentifier(
            org=self._places.org, project=key.project, domain=key.domain, name=key.name, version=key.version
        )

    def _metadata(self, reader: StoreReader, task: DeployedTask) -> definitions.TaskMetadata:
        return definitions.TaskMetadata(
            deployed_by=identity(task.deployed_by),
            short_name=task.short_name,
            deployed_at=timestamp(task.deployed_us),
            environment_name=task.environment_name,
            triggers_summary=_triggers_summary(reader, task.key),
            short_description=task.short_description,
        )

    def _listed(self, reader: StoreReader, task: DeployedTask) -> definitions.Task:
        return definitions.Task(
            task_id=self._identifier(task.key),
            metadata=self._metadata(reader, task),
            task_summary=definitions.TaskSummary(latest_run=self._latest_run(reader, task, None)),
        )

    def _version(self, reader: StoreReader, task: DeployedTask) -> messages.ListVersionsResponse.VersionResponse:
        return messages.ListVersionsResponse.VersionResponse(
            version=task.key.version,
            deployed_at=timestamp(task.deployed_us),
            deployed_by=identity(task.deployed_by),
            latest_run=self._latest_run(reader, task, task.key.version),
        )

    def _latest_run(
        self, reader: StoreReader, task: DeployedTask, version: str | None
    ) -> definitions.LatestRunSummary | None:
        key = task.key
        rows = reader.select(statement("latest_run_of_task"), (key.name, key.project, key.domain, version))
        if not rows:
            return None
        row = rows[0]
        return definitions.LatestRunSummary(
            run_id=self._places.identifier(row["name"], row["project"], row["domain"]),
            run_time=timestamp(row["created_us"]),
            phase=row["phase"],
            root_task_name=key.name,
        )


def _place(project: str, domain: str) -> tuple[list[str], dict[str, object]]:
    conditions, parameters = (
        ["project = :project"],
        dict[str, object](project=text_of(project, "the name of the project", TASK_NAME_LENGTH)),
    )
    if domain:
        conditions.append("domain = :domain")
        parameters["domain"] = domain
    return conditions, parameters


def _triggers_summary(reader: StoreReader, key: TaskKey) -> definitions.TaskTriggersSummary | None:
    triggers = triggers_of_task(reader, key.project, key.domain, key.name)
    if not triggers:
        return None
    if len(triggers) == 1:
        one = triggers[0]
        return definitions.TaskTriggersSummary(
            details=definitions.TaskTriggersSummary.TriggerDetails(
                name=one.key.name, active=one.is_active, automation_spec=one.automation
            )
        )
    active = sum(each.is_active for each in triggers)
    return definitions.TaskTriggersSummary(
        stats=definitions.TaskTriggersSummary.TriggerStats(total=len(triggers), active=active)
    )
