"""The smallest run there is: one task of one line."""

from __future__ import annotations

import flyte

env = flyte.TaskEnvironment(name="one_line")


@env.task
async def double(x: int) -> int:
    return 2 * x
