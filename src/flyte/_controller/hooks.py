"""Tasks of a user's own class: `pre`, `execute` and `post` run in place of the plain function."""

from __future__ import annotations

from collections.abc import Hashable
from functools import cache
from typing import Any

from flyte._authoring.function_task import AsyncFunctionTaskTemplate
from flyte._authoring.task import TaskTemplate
from flyte._context import ctx


def has_hooks(task: Any) -> bool:
    """Whether the task's class does anything but call the function."""
    return _class_has_hooks(type(task))


@cache
def _class_has_hooks(task_type: Hashable) -> bool:
    hooks = ("pre", "execute", "post")
    return any(getattr(task_type, hook) is not getattr(AsyncFunctionTaskTemplate, hook) for hook in hooks)


async def run_with_hooks(task: TaskTemplate[Any, Any, Any], kwargs: dict[str, Any]) -> Any:
    """What `task.execute` returns; what `task.pre` returned is in `ctx().data` from then on."""
    ctx().data.update(await task.pre(**kwargs))
    value = await task.execute(**kwargs)
    await task.post(value)
    return value
