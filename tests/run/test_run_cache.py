from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

import flyte
from flyte._engine.cache_keys import cache_key
from flyte._run import LocalRun
from flyte._store.records import CacheStatus
from flyte.errors import RuntimeUserError

env = flyte.TaskEnvironment(name="c")
COMPUTED: list[object] = []


@pytest.fixture(autouse=True)
def nothing_computed() -> None:
    COMPUTED.clear()


@env.task(cache="auto")
async def square(x: int) -> int:
    COMPUTED.append(x)
    return x * x


@env.task
async def squares(values: list[int]) -> list[int]:
    return await asyncio.gather(*(square(value) for value in values))


def statuses(run: LocalRun) -> list[CacheStatus]:
    return [action.cache_status for action in run.details().actions]


def test_an_equal_call_in_another_run_gets_the_kept_result() -> None:
    first = flyte.run(square, 3)
    second = flyte.run(square, 3)
    assert (first.outputs().o0, second.outputs().o0, COMPUTED) == (9, 9, [3])
    assert (statuses(first), statuses(second)) == ([CacheStatus.POPULATED], [CacheStatus.HIT])
    assert flyte.run(square, 4).outputs().o0 == 16


def test_children_are_cached_and_say_so() -> None:
    flyte.run(squares, [1, 2])
    run = flyte.run(squares, [1, 2, 3])
    assert run.outputs().o0 == [1, 4, 9]
    assert sorted(map(str, COMPUTED)) == ["1", "2", "3"]
    assert statuses(run) == [CacheStatus.DISABLED, CacheStatus.HIT, CacheStatus.HIT, CacheStatus.POPULATED]


def test_a_run_may_leave_the_cache_alone_or_write_over_it() -> None:
    flyte.run(square, 3)
    ignored = flyte.with_runcontext(disable_run_cache=True).run(square, 3)
    assert (COMPUTED, statuses(ignored)) == ([3, 3], [CacheStatus.DISABLED])
    flyte.with_runcontext(overwrite_cache=True).run(square, 3)
    assert COMPUTED == [3, 3, 3]
    flyte.run(square, 3)
    assert COMPUTED == [3, 3, 3]


def test_override_computes_always_and_keeps_for_others() -> None:
    always = square.override(cache="override")
    flyte.run(always, 3)
    flyte.run(always, 3)
    assert COMPUTED == [3, 3]
    flyte.run(square, 3)
    assert COMPUTED == [3, 3]


def test_ignored_inputs_make_no_difference() -> None:
    @env.task(cache=flyte.Cache("auto", ignored_inputs="verbose"))
    async def noisy(x: int, verbose: bool) -> int:
        COMPUTED.append(x)
        return x

    assert flyte.run(noisy, 1, verbose=True).outputs() == flyte.run(noisy, 1, verbose=False).outputs()
    assert COMPUTED == [1]


@pytest.mark.parametrize("change", [{"salt": "s"}, {"version_override": "2"}])
def test_another_version_misses(change: dict[str, str]) -> None:
    flyte.run(square, 3)
    flyte.run(square.override(cache=flyte.Cache("auto", **change)), 3)  # type: ignore[arg-type]
    assert COMPUTED == [3, 3]


def test_a_result_older_than_max_age_is_computed_again() -> None:
    flyte.run(square, 3)
    flyte.run(square.override(cache=flyte.Cache("auto", max_age=timedelta(hours=1))), 3)
    assert COMPUTED == [3]
    flyte.run(square.override(cache=flyte.Cache("auto", max_age=timedelta(0))), 3)
    assert COMPUTED == [3, 3]


def test_a_failure_is_not_kept() -> None:
    @env.task(cache="auto")
    async def fails(x: int) -> int:
        COMPUTED.append(x)
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(RuntimeUserError, match="no"):
            flyte.run(fails, 1)
    assert COMPUTED == [1, 1]


def test_a_failing_policy_fails_the_task_with_its_reason() -> None:
    class Broken:
        def get_version(self, salt: str, params: object) -> str:
            raise RuntimeError("no version today")

    @env.task(cache=flyte.Cache("auto", policies=[Broken()]))
    async def task() -> int:
        return 1

    with pytest.raises(RuntimeUserError, match="no version today"):
        flyte.run(task)


def test_large_results_are_kept_too() -> None:
    @env.task(cache="auto")
    async def large(n: int) -> str:
        COMPUTED.append(n)
        return "x" * n

    assert len(flyte.run(large, 200_000).outputs().o0) == 200_000
    assert len(flyte.run(large, 200_000).outputs().o0) == 200_000
    assert COMPUTED == [200_000]


def test_of_equal_calls_at_one_time_one_computes_when_serialized() -> None:
    @env.task(cache=flyte.Cache("auto", serialize=True))
    async def slow(x: int) -> int:
        COMPUTED.append(x)
        await asyncio.sleep(0.02)
        return x

    @env.task
    async def all_at_once(n: int) -> list[int]:
        return await asyncio.gather(*(slow(7) for _ in range(n)))

    run = flyte.run(all_at_once, 20)
    assert run.outputs().o0 == [7] * 20
    assert COMPUTED == [7]
    assert sorted(statuses(run)) == [CacheStatus.DISABLED] + [CacheStatus.HIT] * 19 + [CacheStatus.POPULATED]


def test_when_the_one_that_computes_fails_the_next_one_does() -> None:
    @env.task(cache=flyte.Cache("auto", serialize=True))
    async def once_bad(x: int) -> int:
        COMPUTED.append(x)
        await asyncio.sleep(0)
        if len(COMPUTED) == 1:
            raise ValueError("first")
        return x

    @env.task
    async def both() -> int:
        results = await asyncio.gather(once_bad(1), once_bad(1), return_exceptions=True)
        return sum(isinstance(result, int) for result in results)

    assert flyte.run(both).outputs().o0 == 1
    assert COMPUTED == [1, 1]


PROGRAM = """
import asyncio, sys
from pathlib import Path
import flyte

env = flyte.TaskEnvironment(name="s")

@env.task(cache=flyte.Cache("auto", serialize=True))
async def slow(folder: str) -> int:
    with open(Path(folder, "computed"), "a") as file:
        file.write("x")
    await asyncio.sleep(0.5)
    return 1

flyte.run(slow, sys.argv[1])
"""


def test_of_equal_calls_in_several_processes_one_computes_when_serialized(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    processes = [subprocess.Popen([sys.executable, str(script), str(tmp_path)], env=dict(os.environ)) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert (tmp_path / "computed").read_text() == "x"


def test_each_part_of_the_key_counts() -> None:
    keys = {cache_key(*parts) for parts in [("a", "b", "c", "d"), ("x", "b", "c", "d"), ("a", "x", "c", "d")]}
    keys |= {cache_key(*parts) for parts in [("a", "b", "x", "d"), ("a", "b", "c", "x")]}
    assert len(keys) == 5
