"""Deployed tasks, as they are called."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Dict, Optional, Tuple, Union

from flyteidl2.common.list_pb2 import ListRequest, Sort
from flyteidl2.core.literals_pb2 import KeyValuePair
from flyteidl2.core.tasks_pb2 import Resources as ResourcesMessage
from flyteidl2.task import task_definition_pb2 as messages
from flyteidl2.task import task_service_pb2 as service

from flyte._authoring.cache import Cache
from flyte._authoring.settings import settle
from flyte._context import ctx, current_scope
from flyte._rpc.failures import NOT_FOUND
from flyte._rpc.settings import current_session
from flyte._serialization.durations import duration_of, limit_of
from flyte._serialization.metadata import retries_of, timeouts_of
from flyte._serialization.resources import extended_resources_of, resources_of
from flyte._serialization.security import security_of
from flyte.errors import RemoteTaskNotFoundError, RemoteTaskUsageError, TaskDefinitionError, UnionRpcError
from flyte.models import MAX_INLINE_IO_BYTES, NativeInterface
from flyte.remote._documents import Document, Startable
from flyte.remote._filters import equal
from flyte.remote._lazy_entity import AutoVersioning, LazyEntity, place_of
from flyte.remote._places import project_id, task_id

if TYPE_CHECKING:
    from flyte._authoring.resources import Resources
    from flyte._authoring.retry import RetryStrategy
    from flyte._authoring.secret import SecretRequest
    from flyte._authoring.timeout import Timeout, TimeoutType
    from flyte.types._codec import InterfaceCodec


@dataclass(frozen=True)
class TaskDetails(Document, Startable[...]):
    """A version of a deployed task.

    Attributes:
        pb2: The message.
        max_inline_io_bytes: Largest inputs or outputs, serialized, that are passed along.
        overriden_queue: The queue that `override` named.
        overridden: Something is other than deployed.
    """

    pb2: messages.TaskDetails
    max_inline_io_bytes: int = MAX_INLINE_IO_BYTES
    overriden_queue: Optional[str] = None
    overridden: bool = False

    @classmethod
    def get(
        cls,
        name: str,
        project: str | None = None,
        domain: str | None = None,
        version: str | None = None,
        auto_version: AutoVersioning | None = None,
    ) -> LazyEntity:
        """A reference to a deployed task, as `Task.get`."""
        return LazyEntity(name, project, domain, version, auto_version)

    @classmethod
    async def fetch(
        cls,
        name: str,
        project: str | None = None,
        domain: str | None = None,
        version: str | None = None,
        auto_version: AutoVersioning | None = None,
    ) -> TaskDetails:
        """All that is known of a deployed task; arguments as of `Task.get`.

        Raises:
            RemoteTaskNotFoundError: there is none of that name and version.
            ValueError: it is not said which version.
        """
        session = current_session()
        project, domain = place_of(project, domain)
        if version is None:
            version = await _auto_version(name, project, domain, auto_version)
        identifier = task_id(session, name, version, project, domain)
        try:
            answer = await session.tasks.get_task_details(service.GetTaskDetailsRequest(task_id=identifier))
        except UnionRpcError as error:
            if error.code == NOT_FOUND:
                raise RemoteTaskNotFoundError(
                    f"there is no task {name!r} of version {version!r} in project {identifier.project!r}, domain "
                    f"{identifier.domain!r}: `flyte get task` lists those there are, `flyte deploy` deploys one."
                ) from error
            raise
        return cls(answer.details)

    @property
    def name(self) -> str:
        """Its full name."""
        return str(self.pb2.task_id.name)

    @property
    def version(self) -> str:
        """Its version."""
        return str(self.pb2.task_id.version)

    @property
    def task_type(self) -> str:
        """What kind of code it is."""
        return str(self.pb2.spec.task_template.type)

    @property
    def default_input_args(self) -> Tuple[str, ...]:
        """The inputs that have a default."""
        return tuple(each.name for each in self.pb2.spec.default_inputs)

    @property
    def required_args(self) -> Tuple[str, ...]:
        """The inputs that have none."""
        defaults = self.default_input_args
        variables = self.pb2.spec.task_template.interface.inputs.variables
        return tuple(each.key for each in variables if each.key not in defaults)

    @cached_property
    def interface(self) -> NativeInterface:
        """Its inputs and outputs, with Python types guessed."""
        from flyte.types import guess_interface

        return guess_interface(self.pb2.spec.task_template.interface, self.pb2.spec.default_inputs)

    @property
    def cache(self) -> Cache:
        """Whether its results are used again."""
        metadata = self.pb2.spec.task_template.metadata
        if not metadata.discoverable:
            return Cache("disable")
        age = metadata.cache_max_age.ToTimedelta() if metadata.HasField("cache_max_age") else None
        return Cache(
            "override" if metadata.discovery_version else "auto",
            version_override=metadata.discovery_version or None,
            serialize=metadata.cache_serializable,
            ignored_inputs=tuple(metadata.cache_ignore_input_vars),
            max_age=age,
        )

    @property
    def secrets(self) -> list[str]:
        """The keys of the secrets it needs."""
        return [each.key for each in self.pb2.spec.task_template.security_context.secrets]

    @property
    def resources(self) -> Tuple[Any, Any]:
        """What it asks for, and at most gets, of a machine."""
        resources = self.pb2.spec.task_template.container.resources
        return tuple(resources.requests), tuple(resources.limits)

    @property
    def queue(self) -> Optional[str]:
        """The queue that `override` named."""
        return self.overriden_queue

    @cached_property
    def codec(self) -> InterfaceCodec:
        """What converts its inputs and outputs."""
        from flyte.types._codec import InterfaceCodec

        return InterfaceCodec(self.interface, self.name)

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run it as a child action of the running task.

        Raises:
            RemoteTaskUsageError: no task is running here.
        """
        scope = current_scope()
        if scope is None:
            raise RemoteTaskUsageError(
                f"task {self.name!r} is deployed, and no task is running here that could call it: run it with "
                f"flyte.run(...)."
            )
        # Controllers of local runs have nobody who could run it.
        submit = getattr(scope.controller, "submit_spec", None)
        if submit is None:
            raise RemoteTaskUsageError(
                f"task {self.name!r} is deployed, and the code of this local run cannot call it: start the run with "
                f"mode='remote'."
            )
        return await submit(scope, self.pb2.spec, self.codec, self, args, kwargs, self.overriden_queue or "")

    def override(
        self,
        *,
        short_name: Optional[str] = None,
        resources: Optional[Resources] = None,
        retries: Union[int, RetryStrategy] = 0,
        timeout: Optional[TimeoutType] = None,
        env_vars: Optional[Dict[str, str]] = None,
        secrets: Optional[SecretRequest] = None,
        service_account: Optional[str] = None,
        max_inline_io_bytes: Optional[int] = None,
        cache: Optional[Cache] = None,
        queue: Optional[str] = None,
        produces_artifacts: Optional[bool] = None,
        **kwargs: Any,
    ) -> TaskDetails:
        """The same task with other settings. What is not given stays as deployed.

        Raises:
            TaskDefinitionError: a setting is unknown, of another type, or cannot be overridden.
        """
        if kwargs or produces_artifacts:
            wrong = next(iter(kwargs), "produces_artifacts")
            raise TaskDefinitionError(f"deployed task {self.name!r}: {wrong!r} cannot be overridden.")
        changed = messages.TaskDetails()
        changed.CopyFrom(self.pb2)
        spec, template = changed.spec, changed.spec.task_template
        if short_name is not None:
            spec.short_name = short_name
        if resources is not None:
            template.container.resources.CopyFrom(resources_of(resources) or ResourcesMessage())
            if (extended := extended_resources_of(resources)) is not None:
                template.extended_resources.CopyFrom(extended)
        if retries:
            template.metadata.retries.CopyFrom(retries_of(self._settled("retries", retries)))
        if timeout is not None:
            _set_timeout(template.metadata, self._settled("timeout", timeout))
        if env_vars is not None:
            del template.container.env[:]
            template.container.env.extend(KeyValuePair(key=key, value=text) for key, text in env_vars.items())
        if secrets is not None or service_account is not None:
            asked = SimpleNamespace(secrets=self._settled("secrets", secrets), service_account=service_account)
            security: Any = security_of(asked)  # type: ignore[arg-type]  # it reads these two alone
            if secrets is not None:
                del template.security_context.secrets[:]
            template.security_context.MergeFrom(security)
        if cache is not None:
            _set_cache(template.metadata, self._settled("cache", cache))
        return replace(
            self,
            pb2=changed,
            max_inline_io_bytes=max_inline_io_bytes or self.max_inline_io_bytes,
            overriden_queue=queue or self.overriden_queue,
            overridden=True,
        )

    def _settled(self, setting: str, value: Any) -> Any:
        try:
            return settle(setting, value)
        except (TypeError, ValueError) as error:
            raise TaskDefinitionError(f"deployed task {self.name!r}: {error}") from None


def _set_timeout(metadata: Any, timeout: Timeout) -> None:
    metadata.ClearField("timeout")
    metadata.ClearField("timeouts")
    if (limit := limit_of(timeout.max_runtime)) is not None:
        metadata.timeout.CopyFrom(limit)
    if (limits := timeouts_of(timeout)) is not None:
        metadata.timeouts.CopyFrom(limits)


def _set_cache(metadata: Any, cache: Cache) -> None:
    metadata.discoverable = cache.is_enabled()
    metadata.cache_serializable = cache.serialize
    del metadata.cache_ignore_input_vars[:]
    metadata.cache_ignore_input_vars.extend(cache.get_ignored_inputs() if cache.is_enabled() else ())
    if cache.version_override:
        metadata.discovery_version = cache.version_override
    metadata.ClearField("cache_max_age")
    if (age := duration_of(cache.max_age)) is not None:
        metadata.cache_max_age.CopyFrom(age)


async def _auto_version(name: str, project: str | None, domain: str | None, auto_version: AutoVersioning | None) -> str:
    """The version that `latest` or `current` means.

    Raises:
        RemoteTaskNotFoundError: the task was never deployed.
        ValueError: neither is said, or `current` outside a task.
    """
    if auto_version == "current":
        context = ctx()
        if not context:
            raise ValueError(
                f"task {name!r}: auto_version='current' is the version of the running task: none runs here."
            )
        return context.version
    if auto_version != "latest":
        raise ValueError(f"task {name!r}: give version=..., or auto_version='latest' or 'current'.")
    session = current_session()
    place = project_id(session, project, domain)
    newest = Sort(key="created_at", direction=Sort.DESCENDING)
    request = ListRequest(limit=1, filters=equal("name", name), sort_by=newest)
    answer = await session.tasks.list_tasks(service.ListTasksRequest(request=request, project_id=place))
    for task in answer.tasks:
        return str(task.task_id.version)
    raise RemoteTaskNotFoundError(
        f"no version of task {name!r} is deployed in project {place.name!r}, domain {place.domain!r}: `flyte get task` "
        f"lists those there are, `flyte deploy` deploys one."
    )
