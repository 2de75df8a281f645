"""Labels that actions hand down to the actions they start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flyte._authoring.expectations import expect_str_mapping
from flyte._context import current_scope, enter_scope, leave_scope


@contextmanager
def custom_context(**context: str) -> Iterator[None]:
    """Add to the custom context of the actions started in this block, and of all actions below them.

    Outside a task nothing happens.

    Raises:
        TypeError: a value is not a string.
    """
    expect_str_mapping("custom_context", context)
    scope = current_scope()
    if scope is None:
        yield
        return
    token = enter_scope(scope.derive(custom_context=context))
    try:
        yield
    finally:
        leave_scope(token)


def get_custom_context() -> dict[str, str]:
    """A copy of the custom context here; empty outside a task."""
    scope = current_scope()
    return {} if scope is None else dict(scope.custom_context)
