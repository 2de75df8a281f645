"""Tasks: typed functions that become actions when they are called inside a run."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Dict,
    Generic,
    List,
    Literal,
    Never,
    Optional,
    ParamSpec,
    Self,
    Tuple,
    TypeVar,
    Union,
)

from flyte._authoring.cache import Cache, CacheRequest, VersionParameters
from flyte._authoring.documentation import Documentation
from flyte._authoring.expectations import near_name
from flyte._authoring.image import Image
from flyte._authoring.link import Link
from flyte._authoring.pod import PodTemplate
from flyte._authoring.resources import Resources
from flyte._authoring.retry import RetryStrategy
from flyte._authoring.reuse import ReusePolicy
from flyte._authoring.secret import SecretRequest
from flyte._authoring.settings import settle
from flyte._authoring.timeout import Timeout, TimeoutType
from flyte._authoring.triggers import Trigger
from flyte._context import current_scope
from flyte.errors import SyncTaskCallInAsyncContextError, TaskDefinitionError
from flyte.models import MAX_INLINE_IO_BYTES, NativeInterface, SerializationContext

if TYPE_CHECKING:
    from flyteidl2.core.tasks_pb2 import DataLoadingConfig, Sql

    from flyte._authoring.task_environment import TaskEnvironment
    from flyte.types._codec import InterfaceCodec

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

Call = Coroutine[object, None, R]
"""What calling an async task gives.

Not `Coroutine[Any, Any, R]`, as given an `Any` mypy no longer tells what overloaded functions such as `asyncio.gather`
return.
"""

_NO_CACHE = Cache("disable")
_NO_RETRIES = RetryStrategy(0)
_NO_LIMITS = Timeout()

_FIXED = {
    "name": "it is the identity of the task; set short_name to be shown differently",
    "image": "an action runs in the software of its environment; make another one with clone_with",
    "docs": "they describe the function",
    "interface": "it is that of the function",
    "func": "another function is another task",
}
_SHARED_BY_WORKERS = ("resources", "env_vars", "secrets", "service_account")


@dataclass(kw_only=True, eq=False, repr=False)
class TaskTemplate(Generic[P, R, F]):
    """Something that can be called with typed inputs, and is recorded as an action when it is called inside a run.

    Short forms are written out when the task is made, so `retries`, `timeout`, `cache` and `image` are always objects;
    the constructor accepts the short forms too.

    Attributes:
        name: Full name, the identity of the task: `<environment>.<function>`.
        interface: Inputs and outputs.
        short_name: The name shown to people.
        task_type: What kind of code it is.
        task_type_version: Version of that kind.
        image: The software it needs.
        resources: What it needs of a machine.
        cache: Whether results are used again.
        interruptible: It may be moved off its machine and started again.
        retries: How often, and how soon, it is tried again.
        reusable: Keeps its workers alive.
        docs: What it does, in words.
        env_vars: Environment variables.
        secrets: Secrets it needs.
        service_account: Its Kubernetes account.
        timeout: How long it may take.
        pod_template: Its Kubernetes settings.
        report: It writes a report.
        queue: Where it waits.
        debuggable: It can run under a debugger.
        entrypoint: It is meant to be run by people.
        produces_artifacts: Not available yet: True is refused.
        parent_env: Its environment.
        parent_env_name: Name of the environment.
        max_inline_io_bytes: Largest inputs or outputs, serialized, that are passed along.
        triggers: What starts it without a person.
        links: Links shown beside its actions.
        is_async: A call is awaited.

    Raises:
        TaskDefinitionError: a setting is of another type or out of its range.
    """

    settings: ClassVar[Tuple[str, ...]] = (
        "image",
        "resources",
        "cache",
        "interruptible",
        "retries",
        "reusable",
        "docs",
        "env_vars",
        "secrets",
        "service_account",
        "timeout",
        "pod_template",
        "report",
        "queue",
        "entrypoint",
        "produces_artifacts",
        "max_inline_io_bytes",
        "triggers",
        "links",
        "short_name",
    )

    name: str
    interface: NativeInterface
    short_name: str = ""
    task_type: str = "python"
    task_type_version: int = 0
    image: Optional[Image] = field(default_factory=Image.from_debian_base)
    resources: Optional[Resources] = None
    cache: Cache = _NO_CACHE
    interruptible: bool = False
    retries: RetryStrategy = _NO_RETRIES
    reusable: Optional[ReusePolicy] = None
    docs: Optional[Documentation] = None
    env_vars: Optional[Dict[str, str]] = None
    secrets: Optional[SecretRequest] = None
    service_account: Optional[str] = None
    timeout: Timeout = _NO_LIMITS
    pod_template: Optional[Union[str, PodTemplate]] = None
    report: bool = False
    queue: Optional[str] = None
    debuggable: bool = False
    entrypoint: bool = False
    produces_artifacts: bool = False
    parent_env: Optional[weakref.ReferenceType[TaskEnvironment]] = None
    parent_env_name: Optional[str] = None
    max_inline_io_bytes: int = MAX_INLINE_IO_BYTES
    triggers: Tuple[Trigger, ...] = ()
    links: Tuple[Link, ...] = ()

    is_async: bool = field(init=False, default=True)

    def __post_init__(self) -> None:
        for setting in self.settings:
            try:
                setattr(self, setting, settle(setting, getattr(self, setting)))
            except (TypeError, ValueError) as error:
                raise TaskDefinitionError(f"task {self.name!r}: {error}") from None
        self.short_name = self.short_name or self.name

    if TYPE_CHECKING:
        # A call takes and gives what the function does, with its names and defaults.
        @property
        def __call__(self) -> F: ...
    else:

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            """Run the task: as an action inside a run, as the plain function outside one.

            Raises:
                SyncTaskCallInAsyncContextError: this would block the event loop of the calling task.
            """
            scope = current_scope()
            if scope is None:
                return self.forward(*args, **kwargs)
            if self.is_async:
                return scope.controller.submit(scope, self, args, kwargs)
            if _loop_is_running():
                called = getattr(self, "__name__", self.short_name)
                raise SyncTaskCallInAsyncContextError(
                    f"task {self.name!r} is synchronous, and calling it from async code would block every other task "
                    f"here. Write: await {called}.aio(...)"
                )
            return scope.controller.submit_blocking(scope, self, args, kwargs)

    def aio(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]:
        """Run the task from async code, whether it is async itself or not; to be awaited.

        Outside a run an async function is awaited, and a synchronous one runs in a thread.
        """
        scope = current_scope()
        if scope is None:
            return self.execute(*args, **kwargs)
        return scope.controller.submit(scope, self, args, kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself, never as an action.

        Raises:
            NotImplementedError: this kind of task has no function.
        """
        raise NotImplementedError(f"task {self.name!r} ({type(self).__name__}) has no function to call")

    async def pre(self, *args: Any, **kwargs: Any) -> Dict[str, Any]:
        """Runs before the body; what it returns is merged into `flyte.ctx().data`."""
        return {}

    async def execute(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the body, in a task or outside one.

        Raises:
            NotImplementedError: this kind of task does not say how.
        """
        raise NotImplementedError(f"task {self.name!r} ({type(self).__name__}) does not say how it is executed")

    async def post(self, return_vals: Any) -> Any:
        """Runs after the body; what it returns is dropped."""
        return return_vals

    def container_args(self, serialize_context: SerializationContext) -> List[str]:
        """The command line of its container; a subclass of a kind of its own says it here.

        Empty leaves it to serialization, which starts function tasks with `a0`.
        """
        return []

    def config(self, sctx: SerializationContext) -> Dict[str, str]:
        """Settings of its container, for what the control plane knows of this kind of task."""
        return {}

    def custom_config(self, sctx: SerializationContext) -> Dict[str, Any]:
        """What the control plane needs to run this kind of task: values that JSON has."""
        return {}

    def data_loading_config(self, sctx: SerializationContext) -> Optional[DataLoadingConfig]:
        """How files come into a container that knows nothing of Flyte."""
        return None

    def sql(self, sctx: SerializationContext) -> Optional[Sql]:
        """The query, of a task that is run by a database and has no container."""
        return None

    @property
    def source_file(self) -> Optional[str]:
        """The file with its code."""
        return None

    @property
    def native_interface(self) -> NativeInterface:
        """Inputs and outputs; the same as `interface`."""
        return self.interface

    @property
    def json_schema(self) -> Dict[str, Any]:
        """A JSON schema of the inputs as one object."""
        return self.interface.json_schema

    @cached_property
    def codec(self) -> InterfaceCodec:
        """What converts the inputs and outputs of this task; made on first use."""
        from flyte.types._codec import InterfaceCodec

        return InterfaceCodec(self.interface, self.name)

    @cached_property
    def cache_version(self) -> str:
        """The version under which results are kept; empty when they are not.

        Raises:
            ValueError: a cache policy fails.
        """
        return self.cache.get_version(VersionParameters(func=None, image=self.image))

    @property
    def code_version(self) -> str:
        """Identity of the code that runs; empty where it has none to compare."""
        return ""

    def override(
        self,
        *,
        short_name: Optional[str] = None,
        resources: Optional[Resources] = None,
        cache: Optional[CacheRequest] = None,
        retries: Union[int, RetryStrategy, None] = None,
        timeout: Optional[TimeoutType] = None,
        reusable: Union[ReusePolicy, Literal["off"], None] = None,
        env_vars: Optional[Dict[str, str]] = None,
        secrets: Optional[SecretRequest] = None,
        service_account: Optional[str] = None,
        max_inline_io_bytes: int | None = None,
        pod_template: Optional[Union[str, PodTemplate]] = None,
        queue: Optional[str] = None,
        interruptible: Optional[bool] = None,
        entrypoint: Optional[bool] = None,
        produces_artifacts: Optional[bool] = None,
        links: Union[Tuple[Link, ...], Link, None] = None,
        plugin_config: Optional[Any] = None,
        **unknown: Never,
    ) -> Self:
        """The same task with other settings, for example for one call: `await train.override(retries=3)(config)`.

        None keeps a setting; anything else replaces it, 0 and empty collections included. `reusable="off"` gives the
        task workers of its own, which is what resources, variables, secrets and account of their own need.

        Raises:
            TaskDefinitionError: a setting is of another type, out of its range, or cannot be overridden.
        """
        given = {
            "short_name": short_name,
            "resources": resources,
            "cache": cache,
            "retries": retries,
            "timeout": timeout,
            "reusable": reusable,
            "env_vars": env_vars,
            "secrets": secrets,
            "service_account": service_account,
            "max_inline_io_bytes": max_inline_io_bytes,
            "pod_template": pod_template,
            "queue": queue,
            "interruptible": interruptible,
            "entrypoint": entrypoint,
            "produces_artifacts": produces_artifacts,
            "links": links,
        }
        for setting in unknown:
            reason = _FIXED.get(setting) or f"it is no setting of a call.{near_name(setting, given)}"
            raise TaskDefinitionError(f"task {self.name!r}: {setting!r} cannot be overridden: {reason}")
        changes: Dict[str, Any] = {setting: value for setting, value in given.items() if value is not None}
        self._check_overrides(changes, plugin_config)
        if reusable == "off":
            changes["reusable"] = None
        return self.with_changes(changes)

    def _check_overrides(self, changes: Dict[str, Any], plugin_config: object) -> None:
        try:
            settle("plugin_config", plugin_config)
        except ValueError as error:
            raise TaskDefinitionError(f"task {self.name!r}: {error}") from None
        reusable = changes.get("reusable", self.reusable)
        shared = [setting for setting in _SHARED_BY_WORKERS if setting in changes]
        if reusable not in (None, "off") and shared:
            raise TaskDefinitionError(
                f"task {self.name!r}: {', '.join(shared)} cannot be overridden, as the workers of a reusable "
                f'environment share them. Add reusable="off" to give this task workers of its own.'
            )

    def with_changes(self, changes: Dict[str, Any]) -> Self:
        """A copy with other values in some of its fields."""
        copy = replace(self, **changes)
        # Making converters and reading source code takes longer than most calls, and neither has changed.
        kept = ("codec",) if "cache" in changes else ("codec", "cache_version")
        copy.__dict__.update({name: self.__dict__[name] for name in kept if name in self.__dict__})
        return copy

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r})"


def _loop_is_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
