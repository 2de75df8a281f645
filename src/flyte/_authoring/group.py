"""Groups of actions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flyte._authoring.expectations import expect
from flyte._context import current_scope, enter_scope, leave_scope
from flyte.models import GroupData


@contextmanager
def group(name: str) -> Iterator[None]:
    """Give the actions started in this block a label, under which they are shown together.

    The label is part of their identity: in another group, a call is another action. An inner block replaces the label
    of an outer one. Outside a task nothing happens.

    ```py
    with flyte.group("sweep"):
        scores = await asyncio.gather(*(train(config) for config in configs))
    ```

    Raises:
        TypeError: the name is not a non-empty string.
    """
    expect(isinstance(name, str) and name != "", "the name of a group", "a non-empty str", name)
    scope = current_scope()
    if scope is None:
        yield
        return
    token = enter_scope(scope.derive(group=GroupData(name)))
    try:
        yield
    finally:
        leave_scope(token)
