"""Where a call stands: the scope of the running attempt, carried in a context variable.

A task called inside a scope becomes an action of the scope's controller; outside one it is a plain function call.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from concurrent.futures import Future

    from flyte.models import GroupData, TaskContext


class Controller(Protocol):
    """What a task call goes to: it turns the call into an action and hands back its outcome."""

    def submit(
        self, scope: ActionScope, task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Coroutine[Any, Any, Any]:
        """A coroutine that runs `task` as a child action of `scope` and returns its outputs."""
        ...

    def submit_blocking(self, scope: ActionScope, task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run `task` as a child action of `scope`, blocking this thread until its outcome is recorded."""
        ...

    def start(self, scope: ActionScope, task: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Future[Any]:
        """Run `task` as a child action of `scope` while this thread goes on; cancelling the future cancels it."""
        ...

    @property
    def output(self) -> Any:
        """What is written to the standard streams goes there: `write` and `flush`."""
        ...

    @property
    def tracer(self) -> Any:
        """What calls of traced functions go to: `call`, `call_blocking`, `stream` and `stream_blocking`."""
        ...

    @property
    def conditions(self) -> Any:
        """What questions to people go to: `ask`, which is a coroutine function for `syncify.loop`."""
        ...


@dataclass(slots=True, eq=False)
class ActionScope:
    """One running attempt, as the code inside it sees it.

    `make_context` builds the public `TaskContext` on first use: most tasks never ask, and it creates folders.

    Attributes:
        group: The group of the calls made now: the innermost `flyte.group` block of this attempt.
        call_counts: How many equal calls this attempt has made, by call key; shared by every scope of the attempt.
        attempt: What the controller keeps of the attempt.
    """

    action_name: str
    controller: Controller
    make_context: Callable[[ActionScope], TaskContext]
    group: GroupData | None = None
    custom_context: Mapping[str, str] = field(default_factory=dict)
    call_counts: dict[str, int] = field(default_factory=dict)
    attempt: Any = None
    _context: TaskContext | None = None

    def context(self) -> TaskContext:
        """The `TaskContext` of this scope, built once."""
        if self._context is None:
            self._context = self.make_context(self)
        return self._context

    def derive(self, *, group: GroupData | None = None, custom_context: Mapping[str, str] | None = None) -> ActionScope:
        """The scope of a block inside this one: the same attempt with another group, or more custom context."""
        return ActionScope(
            action_name=self.action_name,
            controller=self.controller,
            make_context=self.make_context,
            group=group or self.group,
            custom_context={**self.custom_context, **custom_context} if custom_context else self.custom_context,
            call_counts=self.call_counts,
            attempt=self.attempt,
        )


_SCOPE: ContextVar[ActionScope | None] = ContextVar("flyte_action_scope", default=None)

current_scope = _SCOPE.get
enter_scope = _SCOPE.set
leave_scope = _SCOPE.reset


def ctx() -> TaskContext:
    """The context of the task that is running here; a falsy context with every field None outside a task."""
    scope = _SCOPE.get()
    if scope is None:
        from flyte.models import NULL_TASK_CONTEXT

        return NULL_TASK_CONTEXT
    return scope.context()
