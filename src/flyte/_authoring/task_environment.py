"""Environments of tasks."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Dict, List, Literal, Never, Optional, Protocol, Self, Tuple, Union, overload

from flyte._authoring.cache import CacheRequest
from flyte._authoring.decoration import check_is_function, check_parameters
from flyte._authoring.documentation import Documentation
from flyte._authoring.environment import Environment
from flyte._authoring.expectations import near_name
from flyte._authoring.function_task import AsyncFunctionTaskTemplate
from flyte._authoring.image import Image
from flyte._authoring.link import Link
from flyte._authoring.pod import PodTemplate
from flyte._authoring.resources import Resources
from flyte._authoring.retry import RetryStrategy
from flyte._authoring.reuse import ReusePolicy
from flyte._authoring.secret import SecretRequest
from flyte._authoring.task import Call, P, R, TaskTemplate
from flyte._authoring.timeout import TimeoutType
from flyte._authoring.triggers import Trigger
from flyte.errors import TaskDefinitionError
from flyte.models import MAX_INLINE_IO_BYTES


class TaskDecorator(Protocol):
    """What `@env.task(...)` gives: it makes a task of the function below it."""

    @overload
    def __call__(
        self, func: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncFunctionTaskTemplate[P, R, Callable[P, Call[R]]]: ...

    @overload
    def __call__(self, func: Callable[P, R], /) -> AsyncFunctionTaskTemplate[P, R, Callable[P, R]]: ...


@dataclass(repr=False)
class TaskEnvironment(Environment):
    """Software, resources and settings shared by tasks, which are declared with its `task` decorator.

    Attributes:
        cache: Whether results of its tasks are used again, unless a task says otherwise.
        reusable: Keeps the workers of its tasks alive.
        plugin_config: Not available yet: anything but None is refused.
        queue: Where its actions wait.

    Raises:
        TaskDefinitionError: a setting is of another type, or the name is none.
    """

    checked_settings: ClassVar[Tuple[str, ...]] = (
        *Environment.checked_settings,
        "cache",
        "reusable",
        "plugin_config",
        "queue",
    )

    cache: CacheRequest = "disable"
    reusable: ReusePolicy | None = None
    plugin_config: Optional[Any] = None
    queue: Optional[str] = None
    _tasks: Dict[str, TaskTemplate[Any, Any, Any]] = field(init=False, default_factory=dict, compare=False)

    @property
    def tasks(self) -> Dict[str, TaskTemplate[Any, Any, Any]]:
        """Its tasks by full name."""
        return self._tasks

    @overload
    def task(
        self, _func: Callable[P, Coroutine[Any, Any, R]]
    ) -> AsyncFunctionTaskTemplate[P, R, Callable[P, Call[R]]]: ...

    @overload
    def task(self, _func: Callable[P, R]) -> AsyncFunctionTaskTemplate[P, R, Callable[P, R]]: ...

    @overload
    def task(
        self,
        _func: None = None,
        *,
        short_name: Optional[str] = None,
        cache: CacheRequest | None = None,
        retries: Union[int, RetryStrategy] = 0,
        timeout: TimeoutType = 0,
        docs: Optional[Documentation] = None,
        pod_template: Optional[Union[str, PodTemplate]] = None,
        report: bool = False,
        interruptible: bool | None = None,
        max_inline_io_bytes: int = MAX_INLINE_IO_BYTES,
        queue: Optional[str] = None,
        service_account: Optional[str] = None,
        triggers: Tuple[Trigger, ...] | Trigger = (),
        links: Tuple[Link, ...] | Link = (),
        task_resolver: Any | None = None,
        entrypoint: bool = False,
        produces_artifacts: bool = False,
    ) -> TaskDecorator: ...

    def task(
        self,
        _func: Any = None,
        *,
        short_name: Optional[str] = None,
        cache: CacheRequest | None = None,
        retries: Union[int, RetryStrategy] = 0,
        timeout: TimeoutType = 0,
        docs: Optional[Documentation] = None,
        pod_template: Optional[Union[str, PodTemplate]] = None,
        report: bool = False,
        interruptible: bool | None = None,
        max_inline_io_bytes: int = MAX_INLINE_IO_BYTES,
        queue: Optional[str] = None,
        service_account: Optional[str] = None,
        triggers: Tuple[Trigger, ...] | Trigger = (),
        links: Tuple[Link, ...] | Link = (),
        task_resolver: Any | None = None,
        entrypoint: bool = False,
        produces_artifacts: bool = False,
        **unknown: Any,
    ) -> Any:
        """Make a task of the function below: `@env.task`, or `@env.task(retries=3)`.

        The function may be async or not. Its parameters are the inputs and its return annotation says the outputs;
        both are annotated with the types of their values. A second function of the same name replaces the first.

        Args:
            _func: The function, when the decorator is written without parentheses.
            short_name: The name shown to people; by default that of the function.
            cache: Whether results are used again; None takes the setting of the environment.
            retries: How often a failed attempt is followed by another.
            timeout: How long one attempt may run, or the limits of a `Timeout`; 0 is no limit.
            docs: What the task does; by default the docstring.
            pod_template: Kubernetes settings; None takes those of the environment.
            report: The task writes a report.
            interruptible: It may be moved off its machine; None takes the setting of the environment.
            max_inline_io_bytes: Largest inputs or outputs, serialized, that are passed along.
            queue: Where its actions wait; None takes the queue of the environment.
            service_account: Its Kubernetes account; None takes that of the environment.
            triggers: What starts it without a person.
            links: Links shown beside its actions.
            task_resolver: Not available yet: anything but None is refused.
            entrypoint: It is meant to be run by people.
            produces_artifacts: Not available yet: True is refused.
            **unknown: Misspelt options, to say which one was meant.

        Raises:
            TaskDefinitionError: the function cannot be a task, or an option is not what it should be.
        """
        options = {
            "short_name": short_name,
            "cache": self.cache if cache is None else cache,
            "retries": retries,
            "timeout": timeout,
            "docs": docs,
            "pod_template": self.pod_template if pod_template is None else pod_template,
            "report": report,
            "interruptible": self.interruptible if interruptible is None else interruptible,
            "max_inline_io_bytes": max_inline_io_bytes,
            "queue": self.queue if queue is None else queue,
            "service_account": self.service_account if service_account is None else service_account,
            "triggers": triggers,
            "links": links,
            "task_resolver": task_resolver,
            "entrypoint": entrypoint,
            "produces_artifacts": produces_artifacts,
        }

        def declare(func: Any) -> AsyncFunctionTaskTemplate[Any, Any, Any]:
            check_is_function(func, self.name)
            name = f"{self.name}.{func.__name__}"
            _refuse_unknown(name, unknown, options)
            self._check_shared_workers(name, pod_template, service_account)
            return self._declare(func, name, options)

        return declare if _func is None else declare(_func)

    def _declare(
        self, func: Callable[..., Any], name: str, options: Dict[str, Any]
    ) -> AsyncFunctionTaskTemplate[Any, Any, Any]:
        check_parameters(func, name)
        task: AsyncFunctionTaskTemplate[Any, Any, Any] = AsyncFunctionTaskTemplate.from_function(
            func,
            name=name,
            **options | {"short_name": options["short_name"] or func.__name__},
            image=self.image,
            resources=self.resources,
            env_vars=self.env_vars,
            secrets=self.secrets,
            reusable=self.reusable,
            parent_env=weakref.ref(self),
            parent_env_name=self.name,
        )
        self._tasks[name] = task
        return task

    def _check_shared_workers(self, task_name: str, pod_template: object, service_account: str | None) -> None:
        if self.reusable is None:
            return
        reason = f"as the workers of the reusable environment {self.name!r} are shared; set it there"
        if pod_template is not None:
            raise TaskDefinitionError(f"task {task_name!r}: pod_template cannot be set, {reason}.")
        if service_account not in (None, self.service_account):
            raise TaskDefinitionError(f"task {task_name!r}: service_account cannot be overridden, {reason}.")

    @property
    def sandbox(self) -> Never:
        """Not available yet.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("env.sandbox: sandboxed tasks do not exist in this release; use @env.task")

    def clone_with(
        self,
        name: str,
        image: Optional[Union[str, Image, Literal["auto"]]] = None,
        resources: Optional[Resources] = None,
        env_vars: Optional[Dict[str, str]] = None,
        secrets: Optional[SecretRequest] = None,
        depends_on: Optional[List[Environment]] = None,
        description: Optional[str] = None,
        interruptible: Optional[bool] = None,
        include: Optional[Tuple[str, ...]] = None,
        service_account: Optional[str] = None,
        **kwargs: Any,
    ) -> TaskEnvironment:
        """A new environment with the settings of this one and without its tasks; None keeps a setting.

        Args:
            name: Its name.
            image: The software.
            resources: What each action needs of a machine.
            env_vars: Environment variables, instead of and not on top of those of this one.
            secrets: Secrets, likewise.
            depends_on: Environments it depends on, likewise.
            description: What it is.
            interruptible: Actions may be moved off their machine.
            include: Further files, relative to the file of the new declaration.
            service_account: The Kubernetes account.
            **kwargs: `cache`, `reusable`, `queue`, `pod_template` and `plugin_config`, as in the constructor.

        Raises:
            TaskDefinitionError: there is no such setting, or a value is not what it should be.
        """
        named = {
            "image": image,
            "resources": resources,
            "env_vars": env_vars,
            "secrets": secrets,
            "depends_on": depends_on,
            "description": description,
            "interruptible": interruptible,
            "include": include,
            "service_account": service_account,
        }
        current = {each.name: getattr(self, each.name) for each in fields(self) if each.init}
        for setting in kwargs:
            if setting not in current:
                raise TaskDefinitionError(
                    f"environment {name!r}: there is no setting {setting!r}.{near_name(setting, current)}"
                )
        changes = {setting: value for setting, value in (named | kwargs).items() if value is not None}
        return type(self)(**current | changes | {"name": name})

    @classmethod
    def from_task(
        cls, name: str, *tasks: TaskTemplate[Any, Any, Any], depends_on: Optional[List[Environment]] = None
    ) -> Self:
        """An environment around tasks that were made without one.

        Raises:
            TaskDefinitionError: a task has an environment already, or two need different images.
        """
        for task in tasks:
            if task.parent_env_name is not None:
                raise TaskDefinitionError(
                    f"environment {name!r}: task {task.name!r} belongs to environment {task.parent_env_name!r} "
                    f"already; name that one in depends_on instead."
                )
        image = _common_image(name, tasks)
        environment = cls(name, image=image, depends_on=depends_on or [])
        for task in tasks:
            task.parent_env = weakref.ref(environment)
            task.parent_env_name = name
            environment._tasks[task.name] = task
        return environment


def _common_image(name: str, tasks: Iterable[TaskTemplate[Any, Any, Any]]) -> Union[Image, Literal["auto"], None]:
    images = {task.image for task in tasks}
    if len(images) > 1:
        listed = ", ".join(f"{task.name!r}" for task in tasks)
        raise TaskDefinitionError(f"environment {name!r}: the tasks {listed} need different images; give each its own.")
    return images.pop() if images else "auto"


def _refuse_unknown(task_name: str, unknown: Iterable[str], options: Iterable[str]) -> None:
    known = list(options)
    for option in unknown:
        on_environment = option in {each.name for each in fields(TaskEnvironment) if each.init}
        hint = " It is a setting of the environment." if on_environment else near_name(option, known)
        raise TaskDefinitionError(f"task {task_name!r}: @env.task has no option {option!r}.{hint}")
