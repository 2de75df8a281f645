"""A task that calls others in each way that a control plane is asked for."""

import asyncio

import flyte

env = flyte.TaskEnvironment("asking", image="python:3.11", resources=flyte.Resources(cpu=1, memory="100Mi"))


@env.task
async def double(x: int) -> int:
    """Twice as much.

    Args:
        x: The number.
    """
    return 2 * x


@env.task(cache=flyte.Cache(behavior="auto", version_override="v7", ignored_inputs=("note",)), retries=2, queue="slow")
async def kept(x: int, note: str = "n") -> int:
    return x


@env.task
def plain(text: str, numbers: list[int]) -> str:
    return text


@env.task
async def nothing(x: float) -> None:
    pass


@flyte.trace
async def shout(text: str) -> str:
    return text.upper()


@flyte.trace
async def outer(text: str, times: int = 2) -> str:
    return await shout(text * times)


@env.task
async def parent() -> int:
    with flyte.group("pairs"):
        await asyncio.gather(double(1), double(1), double(2))
    await kept(1, note="a")
    await plain.aio("a", [1, 2])
    await nothing(1.5)
    await shout("hi")
    await outer("in")
    condition = await flyte.new_condition.aio("ok", "Go on?", data_type=bool, timeout=60.5, description="why")
    await condition.wait.aio()
    with flyte.custom_context(who="me"):
        return await double(3)
