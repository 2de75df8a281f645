"""Frames of pandas: from the driver, between tasks, back to the driver."""

import pandas as pd
from client_scenarios import equal, scenario

import flyte
import flyte.io

env = flyte.TaskEnvironment("frames")


@env.task
async def doubled(frame: pd.DataFrame) -> pd.DataFrame:
    return frame * 2


@env.task
async def wrapped(frame: flyte.io.DataFrame) -> flyte.io.DataFrame:
    data = await frame.open(pd.DataFrame).all()
    return flyte.io.DataFrame.from_df(await doubled(data))


@scenario
async def frames() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5]})
    run = await flyte.run.aio(doubled, frame=frame)
    await run.wait.aio(quiet=True)
    # Of a plain path that no run is under way for, the release thinks that it has to be uploaded.
    found = (await run.typed_outputs.aio({"o0": pd.DataFrame}))["o0"]
    equal(found.to_dict("list"), {"a": [2, 4], "b": [1.0, 3.0]}, "frame")
    run = await flyte.run.aio(wrapped, frame=flyte.io.DataFrame.from_df(frame))
    await run.wait.aio(quiet=True)
    # Of a plain path that no run is under way for, the release thinks that it has to be uploaded.
    found = (await run.typed_outputs.aio({"o0": pd.DataFrame}))["o0"]
    equal(found.to_dict("list"), {"a": [2, 4], "b": [1.0, 3.0]}, "wrapped frame")
