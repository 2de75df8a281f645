"""A task for the task process of either release."""

import flyte
from digits.scales import UNIT  # type: ignore[import-not-found]  # `src` is on no path here

env = flyte.TaskEnvironment("digits", image="base:1")


@env.task
async def weigh(rows: list[int], unit: float = UNIT) -> float:
    return unit * sum(rows)
