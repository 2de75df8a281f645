"""`@flyte.trace`: plain functions whose calls inside a task are recorded."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from flyte._context import ActionScope, current_scope
from flyte.errors import TaskDefinitionError
from flyte.models import NativeInterface

if TYPE_CHECKING:
    from flyte.types._codec import InterfaceCodec

P = ParamSpec("P")
T = TypeVar("T")

_UNTYPED = inspect.Parameter.empty


def trace(func: Callable[P, T]) -> Callable[P, T]:
    """Calls of `func` inside a task are recorded as actions: inputs, and outputs or error.

    When the task around it runs again, by a retry or a resume, a call that returned before returns what it returned
    then, and the function is not called. It may be sync, async, a generator or an async generator; the items of a
    generator are recorded when it ends. Traces may call traces, but no tasks. Outside a task, the function is called
    as it is.

    ```py
    @flyte.trace
    async def ask(model: str, prompt: str) -> str: ...
    ```

    Raises:
        TaskDefinitionError: `func` is a task, a class or no function.
    """
    if not inspect.isroutine(func):
        what = "a task, whose calls are recorded anyway" if hasattr(func, "interface") else "no function"
        raise TaskDefinitionError(f"@flyte.trace decorates plain functions; {func!r} is {what}.")
    traced = TracedFunction(func)

    @wraps(func)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        scope = current_scope()
        outcome: T = func(*args, **kwargs) if scope is None else traced.called(scope, args, kwargs)
        return outcome

    return _like(func, call)


class TracedFunction:
    """A traced function as the engine sees it.

    Attributes:
        name: Identity of its calls: the function's own name.
    """

    def __init__(self, func: Callable[..., Any]) -> None:
        self.name = func.__name__
        self._func = func
        self._is_async = inspect.iscoroutinefunction(func)
        self._is_async_stream = inspect.isasyncgenfunction(func)
        self._is_stream = inspect.isgeneratorfunction(func)

    def called(self, scope: ActionScope, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call inside a task: what the kind of the function gives, a coroutine, a generator or a value."""
        arguments = self._arguments(args, kwargs)
        tracer = scope.controller.tracer
        if self._is_async:
            return tracer.call(scope, self, arguments)
        if self._is_async_stream:
            return tracer.stream(scope, self, arguments)
        if self._is_stream:
            return tracer.stream_blocking(scope, self, arguments)
        return tracer.call_blocking(scope, self, arguments)

    def start(self, arguments: dict[str, Any]) -> Any:
        """The function itself, called."""
        if self._is_called_by_name:
            return self._func(**arguments)
        bound = self._signature.bind_partial()
        bound.arguments.update(arguments)
        return self._func(*bound.args, **bound.kwargs)

    @property
    def function(self) -> Callable[..., Any]:
        """The function itself."""
        return self._func

    @cached_property
    def codec(self) -> InterfaceCodec:
        """What converts its arguments and its result."""
        from flyte.types._codec import InterfaceCodec

        return InterfaceCodec(self._interface(), self.name, self._hints.get("return"))

    @cached_property
    def _signature(self) -> inspect.Signature:
        return inspect.signature(self._func)

    @cached_property
    def _is_called_by_name(self) -> bool:
        named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        return all(parameter.kind in named for parameter in self._signature.parameters.values())

    @cached_property
    def _hints(self) -> dict[str, Any]:
        return typing.get_type_hints(self._func, include_extras=True)

    def _arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return dict(bound.arguments)

    def _interface(self) -> NativeInterface:
        inputs: dict[str, Any] = {}
        for name, parameter in self._signature.parameters.items():
            is_variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
            inputs[name] = (Any if is_variadic else self._hints.get(name, Any), _UNTYPED)
        return NativeInterface(inputs, {"o0": self._output_type()})

    def _output_type(self) -> Any:
        returned = self._hints.get("return", Any)
        if self._is_stream or self._is_async_stream:
            items = typing.get_args(returned)
            return list[items[0]] if items else list[Any]  # type: ignore[valid-type]
        # A tuple is one value here, and so is None: a trace has one output, whatever it returns.
        return type(None) if returned is None else returned


def _like(func: Callable[P, T], call: Callable[P, T]) -> Callable[P, T]:
    """`call`, which `inspect` takes for the kind of function that `func` is."""
    if inspect.iscoroutinefunction(func):
        mark = getattr(inspect, "markcoroutinefunction", None)
        if mark is not None:
            marked: Callable[P, T] = mark(call)
            return marked
    return call
