"""Calls: outputs, inputs of many types, fan-outs, retries, failures, traces, groups, maps, variables, contexts."""

import asyncio
import enum
import os
import signal
import time
import urllib.request
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from client_scenarios import equal, fresh_file, note, noted, scenario
from pydantic import BaseModel

import flyte
import flyte.errors
import flyte.remote

env = flyte.TaskEnvironment("calls")


class Color(enum.Enum):
    RED = "red"
    GREEN = "green"


@dataclass
class Point:
    x: int
    names: list[str]


class Model(BaseModel):
    depth: int
    point: Point


async def ended(task: Any, **inputs: Any) -> Any:
    """A run of the task, over."""
    run = await flyte.run.aio(task, **inputs)
    await run.wait.aio(quiet=True)
    return run


async def value(task: Any, **inputs: Any) -> Any:
    """The first output of a run of the task."""
    run = await ended(task, **inputs)
    await run.raise_for_status.aio()
    return (await run.outputs.aio())[0]


@env.task
async def add(x: int, y: int = 2) -> int:
    return x + y


@env.task
def two(x: int) -> tuple[int, str]:
    return x, f"<{x}>"


@env.task
async def nothing() -> None: ...


@scenario
async def run_and_outputs() -> None:
    run: Any = await flyte.run.aio(add, x=40)
    await run.wait.aio(quiet=True)
    equal(run.phase, "succeeded", "phase")
    outputs = await run.outputs.aio()
    equal((outputs[0], outputs.o0, outputs.named_outputs), (42, 42, {"o0": 42}), "outputs")
    equal(dict(await run.inputs.aio()), {"x": 40, "y": 2}, "inputs")
    equal(tuple(await (await ended(two, x=7)).outputs.aio()), (7, "<7>"), "two outputs")
    equal((await ended(nothing)).phase, "succeeded", "phase of a task without outputs")
    assert run.name in run.url, run.url
    details = await run.details.aio()
    equal((details.task_name, details.done()), ("calls.add", True), "details")
    again = await flyte.remote.Run.get.aio(run.name)
    equal(await again.typed_outputs.aio({"o0": int}), {"o0": 42}, "typed outputs")


@env.task
async def echo(
    flag: bool,
    ratio: float,
    text: str,
    when: datetime,
    day: date,
    span: timedelta,
    rows: list[int],
    table: dict[str, float],
    point: Point,
    color: Color,
    model: Model,
    pair: tuple[int, str],
    anything: Any,
    either: int | str,
    maybe: str | None = None,
) -> tuple[bool, float, str, datetime, date, timedelta, list[int], dict[str, float], Point]:
    assert (pair, anything, either, maybe) == ((1, "a"), {1, 2}, "word", None), (pair, anything, either, maybe)
    assert (color, model) == (Color.GREEN, Model(depth=2, point=point)), (color, model)
    return flag, ratio, text, when, day, span, rows, table, point


@scenario
async def inputs_of_many_types() -> None:
    point = Point(3, ["a", "ß"])
    given = {
        "flag": True,
        "ratio": 0.1,
        "text": "weiß \U0001f680",
        "when": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "day": date(2026, 1, 2),
        "span": timedelta(seconds=1.5),
        "rows": [1, 2, 3],
        "table": {"a": 1.5},
    }
    model = Model(depth=2, point=point)
    run = await ended(
        echo, **given, point=point, color=Color.GREEN, model=model, pair=(1, "a"), anything={1, 2}, either="word"
    )
    await run.raise_for_status.aio()
    outputs = await run.outputs.aio()
    # A date comes as the moment at which it begins: the release cannot tell the two apart by their type.
    given["day"] = datetime(2026, 1, 2, tzinfo=UTC)
    for (name, expected), found in zip(given.items(), outputs[:8], strict=True):
        equal(found, expected, name)
    equal((outputs[8].x, outputs[8].names), (3, ["a", "ß"]), "point")


@env.task
async def large(text: str) -> str:
    return text * 2


@scenario
async def large_values() -> None:
    equal(len(await value(large, text="x" * 3_000_000)), 6_000_000, "length")


@env.task
async def leaf(x: int) -> int:
    return x + 1


@env.task
async def branch(x: int) -> int:
    return sum(await asyncio.gather(*(leaf(x * 10 + each) for each in range(3))))


@env.task
async def root(width: int) -> int:
    return sum(await asyncio.gather(*(branch(each) for each in range(width))))


@scenario
async def nested_fan_out() -> None:
    run = await ended(root, width=4)
    await run.raise_for_status.aio()
    equal((await run.outputs.aio())[0], sum(x * 10 + y + 1 for x in range(4) for y in range(3)), "sum")
    actions = [each async for each in flyte.remote.Action.listall.aio(for_run_name=run.name)]
    equal(len(actions), 1 + 4 + 12, "actions")
    equal({each.phase for each in actions}, {"succeeded"}, "phases")


@env.task
async def same(x: int) -> int:
    return x


@env.task
async def callers_of_the_same() -> int:
    return sum(await asyncio.gather(*(same(1) for _ in range(4))))


@scenario
async def equal_calls_are_actions_of_their_own() -> None:
    run = await ended(callers_of_the_same)
    equal((await run.outputs.aio())[0], 4, "sum")
    equal(len([each async for each in flyte.remote.Action.listall.aio(for_run_name=run.name)]), 5, "actions")


@env.task(retries=flyte.RetryStrategy(3, backoff=flyte.Backoff(timedelta(milliseconds=100))))
async def third_time() -> str:
    checkpoint = flyte.ctx().checkpoint
    assert checkpoint is not None
    before = await checkpoint.load()
    lines = before.read_text().split() if before else []
    attempt = str(flyte.ctx().attempt_number)
    await checkpoint.save(" ".join([*lines, attempt]).encode())
    if len(lines) < 2:
        raise ValueError("not yet")
    return " ".join([*lines, attempt])


@env.task
async def waits_for_third_time() -> str:
    return await third_time()


@scenario
async def retries_with_checkpoint() -> None:
    equal(await value(third_time), "0 1 2", "attempts of a root")
    equal(await value(waits_for_third_time), "0 1 2", "attempts of a child")


@env.task
async def broken(text: str) -> int:
    raise ZeroDivisionError(text)


@env.task
async def catches() -> str:
    try:
        await broken("näh")
    except flyte.errors.RuntimeUserError as error:
        return f"{error.code}: {error}"
    return "nothing"


@env.task
async def does_not_catch() -> int:
    return await broken("näh")


@scenario
async def failure_of_a_child_is_caught() -> None:
    caught = await value(catches)
    assert "ZeroDivisionError" in caught and "näh" in caught, caught


@scenario
async def failure_of_a_run() -> None:
    run = await ended(does_not_catch)
    equal(run.phase, "failed", "phase")
    try:
        await run.raise_for_status.aio()
    except flyte.errors.RuntimeUserError as error:
        equal(error.code, "ZeroDivisionError", "code")
        assert "näh" in str(error), error
    else:
        raise AssertionError("raise_for_status() raised nothing")
    first = await run.first_failure.aio()
    equal(first.task_name if first else None, "calls.broken", "first failure")


@env.task(retries=3)
async def gives_up(path: str) -> None:
    note(path)
    raise flyte.errors.NonRecoverableError("no use")


@env.task
async def leaves() -> None:
    os._exit(3)


@scenario
async def failures_of_other_kinds() -> None:
    path = fresh_file()
    run = await ended(gives_up, path=path)
    equal((run.phase, len(noted(path))), ("failed", 1), "phase and attempts of what cannot recover")
    run = await ended(leaves)
    equal(run.phase, "failed", "phase of a process that leaves")
    details = await (await flyte.remote.Action.get.aio(run_name=run.name, name="a0")).details()
    assert details.error_info and "3" in details.error_info.message, details.error_info


small = flyte.TaskEnvironment("small", resources=flyte.Resources(memory=("300Mi", "500Mi")))


@small.task
async def hungry() -> int:
    return len(bytearray(b"x") * 2**30)


@env.task
async def crashes() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


@env.task
async def catches_the_end_of_processes() -> list[str]:
    found = []
    for call in (hungry, crashes):
        try:
            await call()
        except flyte.errors.BaseRuntimeError as error:
            found.append(type(error).__name__)
    return found


@scenario
async def processes_that_are_ended() -> None:
    equal(await value(catches_the_end_of_processes), ["OOMError", "RuntimeSystemError"], "what the parent caught")


@flyte.trace
async def measured(path: str, x: int) -> int:
    return note(path) * 100 + x


@flyte.trace
async def failing(path: str) -> int:
    note(path)
    raise KeyError("missing")


@env.task(retries=1)
async def traced(path: str, failing_path: str) -> int:
    found = await measured(path, 1) + await measured(path, 2)
    try:
        await failing(failing_path)
    except Exception as error:
        assert "missing" in str(error), error
    if flyte.ctx().attempt_number == 0:
        raise ValueError("once more")
    return found


@scenario
async def traces_are_replayed() -> None:
    path, failing_path = fresh_file(), fresh_file()
    run = await ended(traced, path=path, failing_path=failing_path)
    await run.raise_for_status.aio()
    equal((await run.outputs.aio())[0], 303, "sum")
    # One that failed runs again in the next attempt.
    equal((len(noted(path)), len(noted(failing_path))), (2, 2), "times that traces ran")
    actions = [each async for each in flyte.remote.Action.listall.aio(for_run_name=run.name)]
    equal(sorted(each.phase for each in actions), ["failed", "succeeded", "succeeded", "succeeded"], "phases")


@env.task
async def grouped() -> int:
    with flyte.group("first"):
        one = await asyncio.gather(leaf(1), leaf(2))
    with flyte.group("second"):
        other = await leaf(1)
    return sum(one) + other


@scenario
async def groups() -> None:
    run = await ended(grouped)
    equal((await run.outputs.aio())[0], 7, "sum")
    actions = [each async for each in flyte.remote.Action.listall.aio(for_run_name=run.name)]
    equal(sorted(each.pb2.metadata.group for each in actions), ["", "first", "first", "second"], "groups")


@env.task
def square(x: int, offset: int = 0) -> int:
    if x == 3:
        raise ValueError("three")
    return x * x + offset


@env.task
def mapped() -> list[str]:
    found = flyte.map(square, [1, 2, 3, 4], [10, 10, 10, 10], group_name="squares", concurrency=2)
    return [type(each).__name__ if isinstance(each, Exception) else str(each) for each in found]


@env.task
async def mapped_async() -> int:
    total = 0
    async for each in flyte.map.aio(square, [1, 2], [0, 1]):
        assert not isinstance(each, Exception), each
        total += each
    return total


@scenario
async def maps() -> None:
    found = await value(mapped)
    equal([found[0], found[1], found[3]], ["11", "14", "26"], "squares")
    assert "Error" in found[2], found
    equal(await value(mapped_async), 6, "sum of an async map")


loud = flyte.TaskEnvironment("loud", env_vars={"OF_TASK": "task", "OF_BOTH": "task"})


@loud.task
async def variables() -> str:
    return " ".join(os.environ.get(name, "-") for name in ("OF_TASK", "OF_BOTH", "OF_RUN"))


@scenario
async def environment_variables() -> None:
    run = await flyte.with_runcontext(env_vars={"OF_RUN": "run", "OF_BOTH": "run"}).run.aio(variables)
    await run.wait.aio(quiet=True)
    equal((await run.outputs.aio())[0], "task run run", "variables")


@env.task
async def context_of_child() -> str:
    return " ".join(f"{name}={text}" for name, text in sorted(flyte.get_custom_context().items()))


@env.task
async def context_of_parent() -> list[str]:
    with flyte.custom_context(of_task="t"):
        inner = await context_of_child()
    return [inner, await context_of_child()]


@scenario
async def custom_context() -> None:
    run = await flyte.with_runcontext(custom_context={"of_run": "r"}).run.aio(context_of_parent)
    await run.wait.aio(quiet=True)
    equal((await run.outputs.aio())[0], ["of_run=r of_task=t", "of_run=r"], "context")


@env.task
async def context() -> dict[str, str]:
    here = flyte.ctx()
    return {"run": str(here.action.run_name), "name": here.action.name, "project": str(here.action.project)}


@scenario
async def names_of_runs() -> None:
    name = f"named-{int(time.time() * 1000)}"
    run = await flyte.with_runcontext(name=name).run.aio(context)
    await run.wait.aio(quiet=True)
    equal((await run.outputs.aio())[0], {"run": name, "name": "a0", "project": "flytesnacks"}, "context")
    try:
        await flyte.with_runcontext(name=name).run.aio(context)
    except flyte.errors.RuntimeUserError as error:
        assert name in str(error), error
    else:
        raise AssertionError("a second run of the same name was made")


@env.task
async def both_families(path: str) -> int:
    found = sum(await asyncio.gather(*(branch(each) for each in range(2))))
    return found + await measured(path, 5)


@scenario
async def in_task_family_of_actions() -> None:
    await _family("1", "flyteidl2.actions.ActionsService", "Enqueue")


@scenario
async def in_task_family_of_queue_and_state() -> None:
    await _family("0", "flyteidl2.workflow.QueueService", "EnqueueAction")


async def _family(uses_actions: str, service: str, method: str) -> None:
    before = calls_of(service, method)
    runner = flyte.with_runcontext(env_vars={"_U_USE_ACTIONS": uses_actions})
    run = await runner.run.aio(both_families, path=fresh_file())
    await run.wait.aio(quiet=True)
    await run.raise_for_status.aio()
    equal((await run.outputs.aio())[0], 1 + 2 + 3 + 11 + 12 + 13 + 105, "sum")
    run = await runner.run.aio(catches)
    await run.wait.aio(quiet=True)
    assert "ZeroDivisionError" in (await run.outputs.aio())[0]
    made = calls_of(service, method) - before
    assert made >= 2 + 6 + 1 + 1, f"{made} calls of {service}/{method}"


def calls_of(service: str, method: str) -> int:
    """How many of that method the server has answered."""
    with urllib.request.urlopen(f"http://{os.environ['SERVER']}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    marks = f'method="{method}"', f'service="{service}"'
    return sum(
        int(float(line.split()[-1]))
        for line in lines
        if line.startswith("flyte_rpc_total") and all(mark in line for mark in marks)
    )


@env.task
async def limited(path: str, x: int) -> int:
    note(path, f"begin {time.time()}")
    await asyncio.sleep(0.2)
    note(path, f"end {time.time()}")
    return x


@env.task
async def many_limited(path: str) -> int:
    return sum(await asyncio.gather(*(limited(path, each) for each in range(4))))


@scenario
async def limit_of_concurrent_actions() -> None:
    path = fresh_file()
    run = await flyte.with_runcontext(max_action_concurrency=2).run.aio(many_limited, path=path)
    await run.wait.aio(quiet=True)
    equal((await run.outputs.aio())[0], 6, "sum")
    moments = sorted((float(line.split()[1]), line.split()[0]) for line in noted(path))
    open_now = most = 0
    for _, kind in moments:
        open_now += 1 if kind == "begin" else -1
        most = max(most, open_now)
    assert most <= 2, f"{most} children at once"


warm = flyte.TaskEnvironment("warm", reusable=flyte.ReusePolicy(replicas=1, idle_ttl=60))


@warm.task
async def warm_leaf(x: int) -> int:
    return x * 2


@env.task
async def uses_warm() -> int:
    return sum([await warm_leaf(each) for each in range(3)])


@scenario
async def reuse_policy() -> None:
    equal(await value(uses_warm), 6, "sum")


@env.task(short_name="brief")
async def overridden(x: int) -> int:
    return x


@env.task
async def overrides() -> int:
    return await overridden.override(short_name="other", env_vars={"A": "1"}, resources=flyte.Resources(cpu=1))(3)


@scenario
async def override() -> None:
    equal(await value(overrides), 3, "value")
