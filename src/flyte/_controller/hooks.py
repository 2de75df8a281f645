"""Tasks of a user's own class: `pre`, `execute` and `post` run in place of the plain function."""

from __future__ import annotations

from typing import Any

from flyte._authoring.function_task import AsyncFunctionTaskTemplate
from flyte._authoring.task import TaskTemplate
from flyte._context import ctx

_HOOKS = ("pre", "execute", "post")


def has_hooks(task: TaskTemplate[Any, Any, Any]) -> bool:
    """Whether the task's class does anything but call the function."""
    task_class = type(task)
    return task_class is not AsyncFunctionTaskTemplate and any(
        getattr(task_class, hook) is not getattr(AsyncFunctionTaskTemplate, hook) for hook in _HOOKS
    )


async def run_with_hooks(task: TaskTemplate[Any, Any, Any], kwargs: dict[str, Any]) -> Any:
    """What `task.execute` returns; what `task.pre` returned is in `ctx().data` from then on."""
    ctx().data.update(await task.pre(**kwargs))
    value = await task.execute(**kwargs)
    await task.post(value)
    return value
