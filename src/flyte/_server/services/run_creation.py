"""Requests for runs, checked and completed: what is run, with which inputs, how."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from secrets import token_hex

from flyteidl2.common.identifier_pb2 import ProjectIdentifier, RunIdentifier
from flyteidl2.common.run_pb2 import OffloadedInputData
from flyteidl2.task.common_pb2 import Inputs, NamedLiteral
from flyteidl2.task.run_pb2 import RunSpec
from flyteidl2.task.task_definition_pb2 import TaskIdentifier, TaskSpec
from flyteidl2.workflow.run_service_pb2 import CreateRunRequest

from flyte._atomic import write_atomically
from flyte._server.callers import current_caller
from flyte._server.refusals import InvalidRequestError, UnknownError
from flyte._server.scheduling import RunRequest, Scheduling
from flyte._server.services.identifiers import (
    TASK_NAME_LENGTH,
    address_of,
    check_variable,
    folder_of,
    moment_of,
    project_of,
    run_name_of,
    task_key_of,
    text_of,
)
from flyte._server.services.places import Places
from flyte._server.services.project_places import require_active_project
from flyte._server.services.settings_values import effective, with_settings
from flyte._server.services.store import ServedStore
from flyte._store.database import store_errors
from flyte._store.served_settings import SettingsLevel, find_settings
from flyte._store.tasks import TaskKey, find_task
from flyte._store.triggers import TriggerKey, find_trigger
from flyte.types._hashing import inputs_hash

INLINE_FOLDER = "inline"
"""The folder below that of uploads for inputs that came with a request."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is run, as far as the request names it.

    Attributes:
        inputs: Those that came with the request, or with the trigger.
        offloaded: Where they are instead.
    """

    task_id: TaskIdentifier
    spec: TaskSpec
    run_spec: RunSpec
    inputs: Inputs | None
    offloaded: OffloadedInputData | None
    trigger_name: str | None = None


class RunCreation:
    """Makes runs out of requests."""

    def __init__(self, scheduling: Scheduling, store: ServedStore, places: Places) -> None:
        self._scheduling = scheduling
        self._store = store
        self._places = places

    async def create(self, request: CreateRunRequest, *, is_external: bool = False) -> str:
        """The name of the run that is there now; an external one is as of `RunRequest`.

        Raises:
            RefusedError: it cannot be; nothing was made.
        """
        project, domain, name = run_place(request.WhichOneof("id"), request.run_id, request.project_id)
        await require_active_project(self._store, self._places, project, domain)
        asked = await self._asked(request, project, domain)
        refuse_notifications(asked.run_spec, "run_spec")
        level = SettingsLevel(project, domain)
        settings = await self._store.read(
            lambda reader: effective([found for each in level.above() if (found := find_settings(reader, each))])
        )
        started_at = moment_of(request.run_start_time, "run_start_time") if request.HasField("run_start_time") else None
        run_spec = checked_run_spec(with_settings(asked.run_spec, settings))
        uri, digest = await self._inputs(asked, project, domain)
        return await self._scheduling.create_run(
            RunRequest(
                org=self._places.org,
                project=project,
                domain=domain,
                name=name,
                task_id=asked.task_id,
                spec=asked.spec,
                inputs_uri=uri,
                inputs_hash=digest,
                run_spec=run_spec,
                source=request.source,
                created_by=current_caller().subject,
                trigger_name=asked.trigger_name,
                started_at=started_at,
                is_external=is_external,
            )
        )

    async def _asked(self, request: CreateRunRequest, project: str, domain: str) -> Asked:
        kind = request.WhichOneof("task")
        given = request.WhichOneof("input_wrapper")
        inputs = request.inputs if given == "inputs" else None
        offloaded = request.offloaded_input_data if given == "offloaded_input_data" else None
        if kind == "task_spec":
            task_id = self._task_id_of(request.task_spec, project, domain)
            return Asked(task_id, request.task_spec, request.run_spec, inputs, offloaded)
        if kind == "task_id":
            key = TaskKey(*task_key_of(request.task_id))
            task_id, spec = await self._deployed(key)
            return Asked(task_id, spec, request.run_spec, inputs, offloaded)
        if kind == "trigger_name":
            return await self._of_trigger(request, inputs, offloaded)
        raise InvalidRequestError("nothing to run: expected one of task_spec, task_id and trigger_name.")

    def _task_id_of(self, spec: TaskSpec, project: str, domain: str) -> TaskIdentifier:
        own = spec.task_template.id
        return TaskIdentifier(
            org=self._places.org,
            project=own.project or project,
            domain=own.domain or domain,
            name=text_of(own.name, "task_spec.task_template.id.name", TASK_NAME_LENGTH),
            version=text_of(own.version, "task_spec.task_template.id.version", TASK_NAME_LENGTH, may_be_empty=True),
        )

    async def _deployed(self, key: TaskKey) -> tuple[TaskIdentifier, TaskSpec]:
        found = await self._store.read(lambda reader: find_task(reader, key))
        if found is None:
            raise UnknownError(
                f"there is no task {key.name!r} of version {key.version!r} in {key.project}/{key.domain}: "
                "`flyte deploy` makes one, `flyte get task` lists them."
            )
        task, spec = found
        return (
            TaskIdentifier(
                org=self._places.org,
                project=task.key.project,
                domain=task.key.domain,
                name=task.key.name,
                version=task.key.version,
            ),
            spec,
        )

    async def _of_trigger(
        self, request: CreateRunRequest, inputs: Inputs | None, offloaded: OffloadedInputData | None
    ) -> Asked:
        wanted = request.trigger_name
        key = TriggerKey(wanted.project, wanted.domain, wanted.task_name, wanted.name)
        text_of(wanted.name, "trigger_name.name", TASK_NAME_LENGTH)

        trigger = await self._store.read(lambda reader: find_trigger(reader, key))
        if trigger is None:
            raise UnknownError(
                f"task {key.task_name!r} in {key.project}/{key.domain} has no trigger {key.name!r}: "
                "`flyte get trigger` lists those there are."
            )
        task_id, spec = await self._deployed(TaskKey(key.project, key.domain, key.task_name, trigger.spec.task_version))
        run_spec = RunSpec()
        run_spec.CopyFrom(trigger.spec.run_spec)
        run_spec.MergeFrom(request.run_spec)
        if inputs is None and offloaded is None:
            given = trigger.spec.WhichOneof("input_wrapper")
            inputs = trigger.spec.inputs if given == "inputs" else None
            offloaded = trigger.spec.offloaded_input_data if given == "offloaded_input_data" else None
        return Asked(task_id, spec, run_spec, inputs, offloaded, key.name)

    async def _inputs(self, asked: Asked, project: str, domain: str) -> tuple[str, str]:
        if asked.offloaded is not None:
            uri = address_of(asked.offloaded.uri, "offloaded_input_data.uri")
            digest = asked.offloaded.inputs_hash
            # Without inputs there is nothing to hash.
            return uri, text_of(digest, "offloaded_input_data.inputs_hash", TASK_NAME_LENGTH, may_be_empty=True)
        inputs = completed(asked.spec, asked.inputs or Inputs())
        path = self._store.home / "uploads" / project / domain / INLINE_FOLDER / token_hex(16) / "inputs.pb"
        data = inputs.SerializeToString(deterministic=True)
        with store_errors(path):
            await asyncio.to_thread(write_atomically, path, data)
        ignored = asked.spec.task_template.metadata.cache_ignore_input_vars
        return str(path), inputs_hash(inputs, ignored)


def refuse_notifications(run_spec: RunSpec, field: str) -> None:
    """Nothing, unless a run is to tell somebody of its phases.

    Raises:
        InvalidRequestError: it is.
    """
    if run_spec.notification_rule_name or run_spec.notification_rules.rules:
        raise InvalidRequestError(
            f"{field} asks for notifications, which this server sends to nobody: leave out `notifications=`, and "
            "`flyte get run` or a watch of the run tells what comes of it."
        )


def run_place(kind: str | None, run: RunIdentifier, project: ProjectIdentifier) -> tuple[str, str, str | None]:
    """Project, domain and, where it is named, name of a run that is asked for.

    Raises:
        InvalidRequestError: one is missing, or can be none.
    """
    if kind == "run_id":
        place = ProjectIdentifier(name=run.project, domain=run.domain)
        return *project_of(place, "run_id"), run_name_of(run)
    if kind == "project_id":
        return *project_of(project), None
    raise InvalidRequestError("nothing says where the run belongs: expected run_id or project_id.")


def checked_run_spec(spec: RunSpec) -> RunSpec:
    """`spec`, when attempts can be run so.

    Raises:
        InvalidRequestError: a folder that it names is relative, of which each process has its own idea, or leads to the
            one above; or a variable can be that of no process.
    """
    folder_of(spec.run_base_dir, "run_spec.run_base_dir")
    folder_of(spec.raw_data_storage.raw_data_prefix, "run_spec.raw_data_storage.raw_data_prefix")
    for pair in spec.envs.values:
        check_variable(pair.key, pair.value, "run_spec.envs")
    return spec


def completed(spec: TaskSpec, inputs: Inputs) -> Inputs:
    """The inputs in the order of the interface, with the defaults of those that are not given.

    Raises:
        InvalidRequestError: one is unknown, or one without a default is missing.
    """
    given: dict[str, NamedLiteral] = {each.name: each for each in inputs.literals}
    expected = [entry.key for entry in spec.task_template.interface.inputs.variables]
    unknown = [name for name in given if name not in expected]
    if unknown:
        raise InvalidRequestError(
            f"inputs has {unknown[0][:60]!r}, which the task does not take: expected {', '.join(expected) or 'none'}."
        )
    for parameter in spec.default_inputs:
        if parameter.name not in given and parameter.parameter.HasField("default"):
            given[parameter.name] = NamedLiteral(name=parameter.name, value=parameter.parameter.default)
    missing = [name for name in expected if name not in given]
    if missing:
        raise InvalidRequestError(f"inputs lacks {', '.join(missing)}, of which the task has no default.")
    return Inputs(literals=[given[name] for name in expected], context=inputs.context)
