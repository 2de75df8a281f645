"""Bounds on attempts as tasks declare them, in the terms of the engine."""

from __future__ import annotations

from typing import Any

from flyte._engine.attempts import AttemptRules, Backoff, Failure
from flyte.errors import InlineIOMaxBytesBreached


def attempt_rules(task: Any) -> AttemptRules:
    """How often an action of `task` is tried."""
    strategy = task.retries
    if strategy.backoff is None:
        return AttemptRules(strategy.count + 1)
    declared = strategy.backoff
    backoff = Backoff(declared.base.total_seconds(), declared.factor, declared.cap and declared.cap.total_seconds())
    return AttemptRules(strategy.count + 1, backoff)


def time_limit(task: Any, code: str, bound_s: float) -> Failure:
    """The failure of an attempt that reached a bound."""
    from flyte._controller.child_tasks import reference_of

    bound = "max_runtime" if code == "MAX_RUNTIME_EXCEEDED" else "deadline"
    message = f"task {task.name!r} was stopped: it reached its {bound} of {bound_s:g} s."
    if not task.is_async and reference_of(task) is None:
        message += (
            " It is a sync task that another process cannot import, so it ran on a thread: its thread cannot be "
            "stopped and goes on until the function returns. Declare it at the top level of a module."
        )
    # A deadline bounds all attempts, so another one could not help.
    return Failure(code, "user", message, recoverable=bound == "max_runtime", timed_out=True, worker="user")


def check_inline_size(task: Any, side: str, size_bytes: int, trace_name: str | None = None) -> None:
    """Nothing, when the serialized `side` (`inputs` or `outputs`) is small enough to travel.

    Args:
        trace_name: Of the traced function they belong to, called by the task; None for those of the task itself.

    Raises:
        InlineIOMaxBytesBreached: it is larger than the task's `max_inline_io_bytes`.
    """
    if size_bytes > task.max_inline_io_bytes:
        what, of_task = f"task {task.name!r}", "its"
        if trace_name is not None:
            what, of_task = f"the traced function {trace_name!r}", f"the {task.name!r} task's"
        raise InlineIOMaxBytesBreached(
            f"the {side} of {what} take {size_bytes:,} bytes, more than {of_task} max_inline_io_bytes of "
            f"{task.max_inline_io_bytes:,}: pass large data as a file, or raise `max_inline_io_bytes` on the task."
        )
