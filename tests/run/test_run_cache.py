from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import flyte
from flyte._engine.cache_keys import cache_key
from flyte._run import LocalRun
from flyte._store.reader import StoreReader
from flyte._store.records import LEASE_US, CacheStatus
from flyte._store.writer import Writer
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


def recorded_status(home: Path, run_name: str) -> CacheStatus:
    with StoreReader(home) as reader:
        return reader.load_action(reader.load_run(run_name), "a0").cache_status


def test_a_failure_is_not_kept(flyte_home: Path) -> None:
    @env.task(cache="auto")
    async def fails(x: int) -> int:
        COMPUTED.append(x)
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(RuntimeUserError, match="no"):
            flyte.with_runcontext(name=f"r{len(COMPUTED)}").run(fails, 1)
    assert COMPUTED == [1, 1]
    assert recorded_status(flyte_home, "r1") is CacheStatus.MISS


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


def test_a_result_whose_file_is_gone_is_computed_again(flyte_home: Path) -> None:
    @env.task(cache="auto")
    async def large(n: int) -> str:
        COMPUTED.append(n)
        return "x" * n

    first = flyte.run(large, 200_000)
    shutil.rmtree(flyte_home / "runs" / first.name)
    second = flyte.run(large, 200_000)
    assert len(second.outputs().o0) == 200_000
    assert (COMPUTED, statuses(second)) == ([200_000] * 2, [CacheStatus.POPULATED])
    assert statuses(flyte.run(large, 200_000)) == [CacheStatus.HIT]


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


async def test_when_the_one_that_computes_is_cancelled_the_next_one_does() -> None:
    @env.task(cache=flyte.Cache("auto", serialize=True))
    async def first_is_stuck(x: int) -> int:
        COMPUTED.append(x)
        if len(COMPUTED) == 1:
            await asyncio.Event().wait()
        return x

    @env.task
    async def one_after_the_other() -> int:
        first = asyncio.ensure_future(first_is_stuck(1))
        while not COMPUTED:
            await asyncio.sleep(0)
        second, third = asyncio.ensure_future(first_is_stuck(1)), asyncio.ensure_future(first_is_stuck(1))
        await asyncio.sleep(0)
        second.cancel()
        first.cancel()
        return await third

    run = await flyte.run.aio(one_after_the_other)
    assert (run.outputs().o0, COMPUTED) == (1, [1, 1])
    assert flyte.run(first_is_stuck, 1).outputs().o0 == 1
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


KILLED = """
import asyncio, sys, time
from pathlib import Path
import flyte

env = flyte.TaskEnvironment(name="s")

@env.task(cache=flyte.Cache("auto", serialize=True, ignored_inputs="stuck"))
async def slow(folder: str, stuck: bool) -> int:
    with open(Path(folder, "computed"), "a") as file:
        file.write("x")
    if stuck:
        print("computing", flush=True)
        await asyncio.Event().wait()
    return 1

if __name__ == "__main__":
    flyte.run(slow, sys.argv[1], "stuck" in sys.argv)
"""


@pytest.fixture
def stuck(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that computes a serialized task, and will not come to an end."""
    script = tmp_path / "program.py"
    script.write_text(KILLED)
    command = [sys.executable, str(script), str(tmp_path), "stuck"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "computing\n"
        yield process
        process.kill()


def start_another(tmp_path: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(tmp_path / "program.py"), str(tmp_path)])


def test_another_process_takes_over_when_the_one_that_computes_is_killed(
    stuck: subprocess.Popen[str], tmp_path: Path
) -> None:
    with start_another(tmp_path) as another:
        with pytest.raises(subprocess.TimeoutExpired):
            another.wait(2)
        stuck.kill()
        # Long before the lease of the killed one is over: on its own machine it is seen to be gone.
        assert another.wait(LEASE_US / 1e6 / 2) == 0
    assert (tmp_path / "computed").read_text() == "xx"


def test_another_process_takes_over_when_the_lease_of_a_dead_computer_is_over(
    stuck: subprocess.Popen[str], tmp_path: Path, flyte_home: Path
) -> None:
    stuck.kill()
    stuck.wait()
    lease_s = 3.0
    began = time.monotonic()
    writer = Writer(flyte_home)
    moved = "UPDATE run SET owner_host = 'far-away', lease_until_us = ?"
    writer.write(lambda connection: connection.execute(moved, (round((time.time() + lease_s) * 1e6),)))
    writer.close()
    with start_another(tmp_path) as another:
        assert another.wait(30) == 0
    assert time.monotonic() - began >= lease_s
    assert (tmp_path / "computed").read_text() == "xx"


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
