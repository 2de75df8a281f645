"""`flyte.deploy`: tasks become known to a control plane, to be run from anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from flyteidl2.core.literals_pb2 import KeyValuePair
from flyteidl2.task.task_definition_pb2 import TaskDetails as TaskDetailsMessage
from flyteidl2.task.task_definition_pb2 import TaskIdentifier, TaskSpec, TaskTrigger
from flyteidl2.task.task_service_pb2 import DeployTaskRequest

from flyte._authoring.environment import Environment
from flyte._authoring.task import TaskTemplate
from flyte._authoring.task_environment import TaskEnvironment
from flyte._authoring.triggers import TriggerTime
from flyte._logging import system_logger
from flyte._rpc.failures import ALREADY_EXISTS
from flyte._rpc.sessions import Session
from flyte._rpc.settings import current_session, session_settings
from flyte._run.remote_code import CodeRequest, place_code, source_of
from flyte._run.remote_images import images_of
from flyte._run.remote_spec import SEARCH_PATH_VARIABLE, search_path
from flyte._serialization import task_spec
from flyte._serialization.triggers import trigger_message
from flyte.errors import DeploymentError, UnionRpcError
from flyte.models import SerializationContext
from flyte.remote._places import page_of
from flyte.syncify import syncify

_AT_ONCE = 8


@dataclass(frozen=True)
class DeployedTask:
    """A task as it was deployed.

    Attributes:
        deployed_task: Its identifier and message.
        deployed_triggers: Its triggers.
        is_new: It was deployed by this call; else this version was there.
    """

    deployed_task: TaskDetailsMessage
    deployed_triggers: tuple[TaskTrigger, ...] = ()
    is_new: bool = True

    @property
    def name(self) -> str:
        """Its full name."""
        return str(self.deployed_task.task_id.name)

    @property
    def version(self) -> str:
        """Its version."""
        return str(self.deployed_task.task_id.version)

    @property
    def url(self) -> str:
        """The address of its page."""
        where = self.deployed_task.task_id
        return page_of("tasks", where.project, where.domain, where.name)

    def get_name(self) -> str:
        """Its full name."""
        return self.name

    def summary_repr(self) -> str:
        """What it is, in one line."""
        return f"DeployedTask(name={self.name}, version={self.version})"

    def table_repr(self) -> list[tuple[str, str]]:
        """What it is, as the cells of a row."""
        triggers = ",".join(each.name for each in self.deployed_triggers)
        return [("type", "task"), ("name", self.name), ("version", self.version), ("triggers", triggers)]


@dataclass(frozen=True)
class DeployedEnvironment:
    """An environment whose tasks were deployed.

    Attributes:
        env: The environment.
        deployed_entities: Its tasks.
    """

    env: Environment
    deployed_entities: tuple[DeployedTask, ...]

    def get_name(self) -> str:
        """Its name."""
        return self.env.name

    def env_repr(self) -> list[tuple[str, str]]:
        """What it is, as the cells of a row."""
        image = getattr(self.env.image, "uri", self.env.image)
        return [("environment", self.env.name), ("image", str(image or ""))]

    def summary_repr(self) -> str:
        """What it is, in one line."""
        entities = ", ".join(each.summary_repr() for each in self.deployed_entities)
        return f"Deployment(env=[{self.env.name}], entities=[{entities}])"

    def table_repr(self) -> list[list[tuple[str, str]]]:
        """Its tasks, each as the cells of a row."""
        return [each.table_repr() for each in self.deployed_entities]


@dataclass(frozen=True)
class Deployment:
    """What `flyte.deploy` made of one of its environments: that one, and those it depends on.

    Attributes:
        envs: By name.
    """

    envs: dict[str, DeployedEnvironment] = field(default_factory=dict)

    def env_repr(self) -> list[list[tuple[str, str]]]:
        """The environments, each as the cells of a row."""
        return [each.env_repr() for each in self.envs.values()]

    def summary_repr(self) -> str:
        """What they are, in one line."""
        return f"Deployment(envs=[{', '.join(each.summary_repr() for each in self.envs.values())}])"

    def table_repr(self) -> list[list[tuple[str, str]]]:
        """The tasks of all, each as the cells of a row."""
        return [row for each in self.envs.values() for row in each.table_repr()]


@syncify
async def deploy(
    *envs: Environment,
    dry_run: bool = False,
    version: str | None = None,
    interactive_mode: bool | None = None,
    copy_style: str = "loaded_modules",
    dryrun: bool | None = None,
) -> list[Deployment]:
    """The tasks of environments, and of all these depend on, are known to the control plane, with their triggers.

    A version that is there already stays as it is, and is no error: deploying twice is deploying once.

    Args:
        envs: The environments.
        dry_run: Build and send nothing; say what would be deployed.
        version: Of the tasks; default that of their code.
        interactive_mode: True is refused: a pickled task is for one run.
        copy_style: How the code is bundled: `loaded_modules`, `all`, `custom` or `none`, which needs a version.
        dryrun: Another name of `dry_run`.

    Returns:
        One for each of `envs`.

    Raises:
        DeploymentError: an environment cannot be deployed as it is declared.
        InitializationError: code `ClientNotInitializedError`; there is no control plane, and it is no dry run.
        UnionRpcError: the control plane does not answer, or refuses a task.
    """
    from flyte._image.building import environments_below

    _check(envs, interactive_mode)
    is_dry = dry_run if dryrun is None else dryrun
    session = current_session() if not is_dry or session_settings() is not None else None
    chosen = list(environments_below(envs))
    _check_names(chosen)
    request = CodeRequest(tuple(chosen), copy_style=copy_style, version=version, is_pickled=False, is_sent=not is_dry)
    images, code = await asyncio.gather(
        images_of(session, chosen, bakes_code=copy_style == "none", dry_run=is_dry), place_code(session, request)
    )
    context = SerializationContext(
        version=code.version,
        project=session.project if session else None,
        domain=session.domain if session else None,
        org=session.org if session else None,
        code_bundle=code.bundle,
        image_cache=images,
        root_dir=code.root,
    )
    target = None if is_dry else session
    places = asyncio.Semaphore(_AT_ONCE)
    deployed = {id(env): await _deploy_environment(target, env, context, places) for env in chosen}
    return [Deployment({each.name: deployed[id(each)] for each in environments_below([env])}) for env in envs]


def _check(envs: tuple[Environment, ...], interactive_mode: bool | None) -> None:
    if not envs:
        raise ValueError("flyte.deploy takes environments, and none is given.")
    for env in envs:
        if not isinstance(env, Environment):
            raise TypeError(f"flyte.deploy takes environments, got {env!r} ({type(env).__name__}).")
    if interactive_mode:
        raise DeploymentError(
            "interactive_mode: a task of a notebook is pickled for one run, and cannot be deployed: put it into a file."
        )


def _check_names(envs: Iterable[Environment]) -> None:
    by_name: dict[str, Environment] = {}
    for env in envs:
        other = by_name.setdefault(env.name, env)
        if other is not env:
            raise DeploymentError(
                f"two environments are named {env.name!r}: what is deployed goes by the name; rename one of them."
            )


async def _deploy_environment(
    session: Session | None, env: Environment, context: SerializationContext, places: asyncio.Semaphore
) -> DeployedEnvironment:
    if not isinstance(env, TaskEnvironment):
        raise DeploymentError(
            f"environment {env.name!r} is a {type(env).__name__}: only task environments are deployed."
        )

    async def one(task: TaskTemplate[Any, Any, Any]) -> DeployedTask:
        async with places:
            return await _deploy_task(session, task, context)

    return DeployedEnvironment(env, tuple(await asyncio.gather(*map(one, env.tasks.values()))))


async def _deploy_task(
    session: Session | None, task: TaskTemplate[Any, Any, Any], context: SerializationContext
) -> DeployedTask:
    _check_task(task)
    spec: TaskSpec = await asyncio.to_thread(task_spec, task, context)
    if spec.task_template.HasField("container") and (entries := search_path(context.root_dir)):
        # Whoever runs it later has another path, and may have none of these folders.
        spec.task_template.container.env.append(KeyValuePair(key=SEARCH_PATH_VARIABLE, value=entries))
    triggers = await asyncio.to_thread(lambda: [trigger_message(each, task.codec) for each in task.triggers])
    named = spec.task_template.id
    identifier = TaskIdentifier(
        org=named.org, project=named.project, domain=named.domain, name=named.name, version=named.version
    )
    details = TaskDetailsMessage(task_id=identifier, spec=spec)
    if session is None:
        return DeployedTask(details, tuple(triggers))
    try:
        await session.tasks.deploy_task(DeployTaskRequest(task_id=identifier, spec=spec, triggers=triggers))
    except UnionRpcError as error:
        if error.code != ALREADY_EXISTS:
            raise
        system_logger.info("task %s of version %s is deployed already", task.name, named.version)
        return DeployedTask(details, tuple(triggers), is_new=False)
    return DeployedTask(details, tuple(triggers))


def _check_task(task: TaskTemplate[Any, Any, Any]) -> None:
    if source_of(task) is None and getattr(task, "func", None) is not None:
        raise DeploymentError(f"task {task.name!r} is in no file, so that no process could import it: put it into one.")
    for name, (_, default) in task.interface.inputs.items():
        if default is TriggerTime:
            raise DeploymentError(
                f"task {task.name!r}: TriggerTime cannot be the default of input {name!r}; say it in the inputs of a "
                f"trigger."
            )
