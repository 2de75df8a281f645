"""Tasks whose body is a Python function."""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import dataclass, fields
from functools import cached_property, update_wrapper
from typing import TYPE_CHECKING, Any, ClassVar, Dict, Optional, Self, SupportsIndex, Tuple

from flyte._authoring.cache import VersionParameters
from flyte._authoring.code_version import code_version
from flyte._authoring.decoration import read_interface, return_annotation, undefined_name
from flyte._authoring.documentation import Documentation
from flyte._authoring.expectations import near_name
from flyte._authoring.references import declared_at, load_changed, load_declared
from flyte._authoring.task import F, P, R, TaskTemplate
from flyte.errors import TaskDefinitionError
from flyte.models import NativeInterface

if TYPE_CHECKING:
    from flyte.types._codec import InterfaceCodec

_UNREAD = NativeInterface({}, {})
"""The interface of a task whose annotations name what is not defined yet."""


@dataclass(kw_only=True, eq=False, repr=False)
class AsyncFunctionTaskTemplate(TaskTemplate[P, R, F]):
    """A task whose body is a Python function, async or not; `@env.task` makes it.

    To Python it looks like its function: name, docstring, signature and annotations are those of the function. It is
    pickled by reference, as functions are.

    Attributes:
        func: The function.
        task_resolver: Not available yet: anything but None is refused.
        plugin_config: Not available yet: anything but None is refused.
    """

    settings: ClassVar[Tuple[str, ...]] = (*TaskTemplate.settings, "task_resolver", "plugin_config")

    debuggable: bool = True
    task_resolver: Optional[Any] = None
    func: F
    plugin_config: Optional[Any] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        update_wrapper(self, self.func, updated=())
        self.is_async = inspect.iscoroutinefunction(self.func)
        if self.docs is None and (text := inspect.getdoc(self.func)):
            self.docs = Documentation(text)
        if self.reusable is not None and self.reusable.concurrency > 1 and not self.is_async:
            raise TaskDefinitionError(
                f"task {self.name!r}: it is synchronous, and ReusePolicy.concurrency={self.reusable.concurrency} needs "
                f"async tasks. Make it 'async def', or set concurrency to 1."
            )
        if self.interface is _UNREAD:
            del self.__dict__["interface"]
        else:
            self._check_input_names(self.interface)

    @classmethod
    def from_function(cls, func: F, *, name: str, **settings: Any) -> Self:
        """The task of `func`; settings are the other fields, with their short forms.

        An annotation may name what the module defines further down: then the interface is read on first use.

        Raises:
            TaskDefinitionError: a setting or an annotation makes no task.
        """
        try:
            interface = read_interface(func, name)
        except NameError:
            interface = _UNREAD
        return cls(func=func, name=name, interface=interface, **settings)

    if TYPE_CHECKING:

        @property
        def forward(self) -> F: ...
    else:

        def forward(self, *args: Any, **kwargs: Any) -> Any:
            """Call the function itself, never as an action; an async one gives its coroutine."""
            return self.func(*args, **kwargs)

        @cached_property
        def interface(self) -> NativeInterface:
            """Inputs and outputs; read here only when that was too early at decoration."""
            try:
                interface = read_interface(self.func, self.name)
            except NameError as error:
                raise undefined_name(error, self.func, self.name) from None
            self._check_input_names(interface)
            return interface

    def _check_input_names(self, interface: NativeInterface) -> None:
        used = [("Cache.ignored_inputs", self.cache.get_ignored_inputs())]
        used += [(f"trigger {trigger.name!r}", tuple(trigger.inputs or ())) for trigger in self.triggers]
        for where, names in used:
            for name in names:
                if name not in interface.inputs:
                    has = f"it has {', '.join(interface.inputs)}" if interface.inputs else "it has none"
                    raise TaskDefinitionError(
                        f"task {self.name!r}: {where} names {name!r}, which is no input of the task; {has}."
                        f"{near_name(name, interface.inputs)}"
                    )

    async def execute(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Await the function, or run a synchronous one in a thread."""
        outcome: R
        if self.is_async:
            outcome = await self.func(*args, **kwargs)
        else:
            outcome = await asyncio.to_thread(self.func, *args, **kwargs)
        return outcome

    @property
    def source_file(self) -> Optional[str]:
        """The file with the function."""
        code = getattr(inspect.unwrap(self.func), "__code__", None)
        return code.co_filename if code else None

    @cached_property
    def codec(self) -> InterfaceCodec:
        """What converts the inputs and outputs of this task; made on first use."""
        from flyte.types._codec import InterfaceCodec

        return InterfaceCodec(self.interface, self.name, return_annotation(self.func))

    @cached_property
    def cache_version(self) -> str:
        """The version under which results are kept; empty when they are not.

        Raises:
            ValueError: a cache policy fails.
        """
        return self.cache.get_version(VersionParameters(func=self.func, image=self.image))

    @cached_property
    def code_version(self) -> str:
        """The hash of the function's code, which comments and formatting do not change."""
        return code_version(self.func)

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | Tuple[Any, ...]:
        module, path = self.func.__module__, self.func.__qualname__
        declared = declared_at(module, path)
        if declared is self:
            return load_declared, (module, path)
        if isinstance(declared, AsyncFunctionTaskTemplate) and declared.func is self.func:
            return load_changed, (module, path, self._changes_since(declared))
        # Not found by name, as in a function body: only picklers that take functions by value can help.
        return super().__reduce_ex__(protocol)

    def _changes_since(self, declared: TaskTemplate[Any, Any, Any]) -> Dict[str, Any]:
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.init}
        return {name: value for name, value in values.items() if value is not getattr(declared, name)}

    def __getstate__(self) -> Dict[str, Any]:
        # A weak reference cannot be pickled, and the environment does not travel with its tasks.
        left_out = {"parent_env": None}
        return {name: value for name, value in self.__dict__.items() if name != "codec"} | left_out
