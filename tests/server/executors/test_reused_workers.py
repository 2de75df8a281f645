"""Attempts in workers that are kept, as a `ReusePolicy` says."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from flyte._server.executors.orders import AttemptLostError
from tests.processes import are_gone, runs
from tests.server.executors.served import Served, eventually, failure, run, value

REUSED = "flyte.TaskEnvironment('e', reusable=flyte.ReusePolicy(replicas={replicas}, concurrency={concurrency}))"


def reused(replicas: object = 1, concurrency: int = 1) -> str:
    """An environment whose workers are reused."""
    return REUSED.format(replicas=replicas, concurrency=concurrency)


CODE = """
@env.task
async def pid(x: int) -> int:
    print("in", x)
    return os.getpid()

@env.task
async def meets(note: str, gate: str) -> int:
    open(note, "a").write(f"{os.getpid()} ")
    while not os.path.exists(gate):
        await asyncio.sleep(0.005)
    print("met")
    return os.getpid()

@env.task
async def blocks(note: str, gate: str) -> int:
    open(note, "w").write(str(os.getpid()))
    time.sleep(0.5)
    while not os.path.exists(gate):
        await asyncio.sleep(0.005)
    return os.getpid()

@env.task
async def crashes() -> int:
    os._exit(3)

@env.task
async def lasts(note: str) -> int:
    try:
        open(note, "w").write(str(os.getpid()))
        await asyncio.sleep(1000)
    finally:
        print("cancelled")
    return 1

@env.task
async def swallows(note: str) -> int:
    open(note, "w").write(str(os.getpid()))
    while True:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            pass

@env.task
async def exits() -> int:
    sys.exit(4)

@env.task
async def leaves_running(note: str) -> int:
    async def ticks():
        while True:
            open(note, "w").write("ticks")
            await asyncio.sleep(0.01)
    asyncio.create_task(ticks())
    await asyncio.sleep(0.05)
    return 1
"""


SYNC = """
@env.task
def told(x: int) -> str:
    print("told", x)
    ctx = flyte.ctx()
    return f"{ctx.action.name} {ctx.attempt_number} {x} {os.getpid()}"

@env.task
def fails() -> int:
    raise LookupError("not there")

@env.task
def stuck(note: str) -> int:
    open(note, "w").write(str(os.getpid()))
    time.sleep(1000)
    return 1
"""


async def test_one_worker_runs_attempts_one_after_another(served: Served) -> None:
    spec, executor = served.specs(CODE + SYNC, reused()), served.executor()
    orders = [served.order(spec("pid"), x=number) for number in range(10)]
    pids = {await value(executor, order) for order in orders}
    assert len(pids) == 1
    assert [served.lines(order) for order in orders] == [[f"in {number}"] for number in range(10)]
    # Tasks of one environment share its workers, also sync ones, and none of them an attempt's own names.
    order = served.order(spec("told"), x=5, number=3)
    assert await value(executor, order) == f"{order.action.name} 2 5 {pids.pop()}"
    assert served.lines(order) == ["told 5"]


async def test_what_fails_fails_alone(served: Served) -> None:
    spec, executor = served.specs(CODE + SYNC, reused()), served.executor()
    first = await value(executor, served.order(spec("pid"), x=1))
    found = await failure(executor, order := served.order(spec("fails")))
    assert (found.code, found.message, found.recoverable) == ("LookupError", "not there", True)
    assert served.lines(order)[-1] == "LookupError: not there"
    assert (await failure(executor, served.order(spec("exits")))).code == "SystemExit"
    assert await value(executor, served.order(spec("pid"), x=1)) == first


async def test_as_many_run_at_once_as_the_policy_says(served: Served) -> None:
    spec, executor = served.specs(CODE, reused(2, 3)), served.executor()
    note, gate = served.folder / "note", served.folder / "gate"
    orders = [served.order(spec("meets"), note=str(note), gate=str(gate)) for _ in range(9)]
    running = [asyncio.ensure_future(value(executor, order)) for order in orders]
    await eventually(lambda: note.exists() and len(note.read_text().split()) == 6)
    pids = note.read_text().split()
    assert len(set(pids)) == 2
    assert not any(each.done() for each in running)
    gate.touch()
    assert {str(pid) for pid in await asyncio.gather(*running)} == set(pids)
    assert all(served.lines(order) == ["met"] for order in orders)


async def test_a_worker_that_dies_fails_its_attempts_and_another_comes(served: Served) -> None:
    spec, executor = served.specs(CODE, reused(1, 2)), served.executor()
    note = served.folder / "note"
    beside = asyncio.ensure_future(failure(executor, served.order(spec("lasts"), note=str(note))))
    await eventually(lambda: note.exists() and note.read_text() != "")
    crashed = await failure(executor, served.order(spec("crashes")))
    for found in (crashed, await beside):
        assert found.code == "ProcessDied"
        assert "exit code 3" in found.message
    assert await value(executor, served.order(spec("pid"), x=1)) != int(note.read_text())


async def test_a_cancelled_attempt_ends_and_its_worker_goes_on(served: Served) -> None:
    spec, executor = served.specs(CODE, reused()), served.executor()
    note = served.folder / "note"
    order = served.order(spec("lasts"), note=str(note))
    running = asyncio.ensure_future(run(executor, order))
    await eventually(lambda: note.exists() and note.read_text() != "")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert served.lines(order) == ["cancelled"]
    assert not (Path(order.outputs_path) / "outputs.pb").exists()
    assert await value(executor, served.order(spec("pid"), x=1)) == int(note.read_text())


async def test_an_attempt_that_is_cancelled_before_it_has_begun_leaves_the_others(
    served: Served, tmp_path: Path
) -> None:
    spec, executor = served.specs(CODE, reused(concurrency=2)), served.executor()
    note, gate = tmp_path / "note", tmp_path / "gate"
    other = asyncio.ensure_future(value(executor, served.order(spec("blocks"), note=str(note), gate=str(gate))))
    await eventually(lambda: note.exists() and note.read_text() != "")
    # The worker reads that it is to run and that it is not in one go.
    order = served.order(spec("pid"), x=1)

    def started() -> None:
        unwanted.cancel()

    unwanted = asyncio.ensure_future(executor.run_attempt(order, started))
    with pytest.raises(asyncio.CancelledError):
        await unwanted
    gate.touch()
    assert str(await other) == note.read_text()


async def test_one_that_cannot_be_cancelled_takes_its_worker_with_it(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flyte._server.executors.workers.CANCEL_GRACE_S", 0.2)
    spec, executor = served.specs(CODE, reused(1, 2)), served.executor()
    notes = [served.folder / "first", served.folder / "second"]
    beside = asyncio.ensure_future(run(executor, served.order(spec("lasts"), note=str(notes[0]))))
    running = asyncio.ensure_future(run(executor, order := served.order(spec("swallows"), note=str(notes[1]))))
    await eventually(lambda: all(note.exists() and note.read_text() != "" for note in notes))
    pids = {int(note.read_text()) for note in notes}
    assert len(pids) == 1
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not any(map(runs, pids))
    with pytest.raises(AttemptLostError, match=order.action.name):
        await beside
    assert await value(executor, served.order(spec("pid"), x=1)) not in pids


async def test_a_cancelled_sync_attempt_ends_with_its_worker_at_once(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flyte._server.executors.workers.CANCEL_GRACE_S", 1000.0)
    spec, executor, note = served.specs(CODE + SYNC, reused()), served.executor(), served.folder / "note"
    running = asyncio.ensure_future(run(executor, served.order(spec("stuck"), note=str(note))))
    await eventually(lambda: note.exists() and note.read_text() != "")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not runs(int(note.read_text()))
    assert await value(executor, served.order(spec("pid"), x=1)) != int(note.read_text())


async def test_what_a_task_leaves_on_the_loop_ends_with_it(served: Served) -> None:
    spec, executor = served.specs(CODE, reused()), served.executor()
    note = served.folder / "note"
    await value(executor, served.order(spec("leaves_running"), note=str(note)))
    note.unlink()
    await value(executor, served.order(spec("meets"), note=str(served.folder / "n"), gate=str(served.folder)))
    assert not note.exists()


async def test_a_place_is_free_while_its_attempt_waits_for_others(served: Served) -> None:
    spec, executor = served.specs(CODE, reused()), served.executor()
    note, gate = served.folder / "note", served.folder / "gate"
    parent = served.order(spec("meets"), note=str(note), gate=str(gate))
    running = asyncio.ensure_future(value(executor, parent))
    await eventually(note.exists)
    child = asyncio.ensure_future(value(executor, served.order(spec("pid"), x=1)))
    await asyncio.sleep(0)
    executor.set_waiting("r", parent.action.name, is_waiting=True)
    pid = await child
    executor.set_waiting("r", parent.action.name, is_waiting=False)
    gate.touch()
    assert await running == pid
    assert await value(executor, served.order(spec("pid"), x=1)) == pid


async def test_workers_that_are_idle_end(served: Served) -> None:
    spec, executor = served.specs(CODE, reused((1, 2))), served.executor()
    task = spec("pid")
    task.task_template.reuse_policy.idle_ttl.FromMilliseconds(50)
    pid = await value(executor, served.order(task, x=1))
    await eventually(lambda: not runs(pid))
    assert await value(executor, served.order(task, x=1)) != pid
    assert not list((served.home / "workers").iterdir()) or are_gone([pid])


async def test_workers_of_a_run_are_of_that_run_alone(served: Served) -> None:
    environment = "flyte.TaskEnvironment('e', reusable=flyte.ReusePolicy(replicas=1, scope='run'))"
    spec, executor = served.specs(CODE, environment), served.executor()
    first = served.order(spec("pid"), x=1)
    other = served.order(spec("pid"), x=1)
    object.__setattr__(other.action, "run_name", "r2")
    assert await value(executor, first) != await value(executor, other)


async def test_a_worker_that_uses_more_than_its_limit_is_ended(served: Served) -> None:
    environment = (
        "flyte.TaskEnvironment('e', reusable=flyte.ReusePolicy(replicas=1), "
        "resources=flyte.Resources(memory=('64Mi', '200Mi')))"
    )
    spec = served.specs(
        """
@env.task
def grows() -> int:
    kept = []
    while len(kept) < 100:
        kept.append(bytearray(b"x") * (10 << 20))
        time.sleep(0.02)
    return 1
""",
        environment,
    )
    found = await failure(served.executor(), served.order(spec("grows")))
    assert (found.code, found.kind) == ("OOMError", "user")
    assert "200 MiB" in found.message


async def test_what_c_code_and_programs_print_is_in_the_log_of_what_runs(served: Served) -> None:
    spec = served.specs(
        """
@env.task
def prints() -> int:
    subprocess.run(["echo", "from a program"])
    os.write(2, b"past the streams\\n")
    return 1

@env.task
def crashes() -> int:
    ctypes.string_at(0)
    return 1
""",
        reused(),
    )
    executor, order = served.executor(), served.order(spec("prints"))
    await value(executor, order)
    await eventually(lambda: served.lines(order) == ["from a program", "past the streams"])
    crashed = served.order(spec("crashes"))
    assert "SIGSEGV" in (await failure(executor, crashed)).message
    assert served.lines(crashed)[0] == "Fatal Python error: Segmentation fault"


async def test_what_is_logged_is_in_the_log_of_its_attempt(served: Served) -> None:
    spec = served.specs(
        "@env.task\ndef logs(x: int) -> int:\n    flyte.logger.warning('x is %s', x)\n    return x\n", reused()
    )
    executor = served.executor()
    orders = [served.order(spec("logs"), x=x, env_vars={"LOG_FORMAT": "json"}) for x in range(3)]
    for order in orders:
        await value(executor, order)
    for x, order in enumerate(orders):
        (line,) = served.lines(order)
        told = json.loads(line)
        assert (told["message"], told["action_name"], told["run_name"]) == (f"x is {x}", order.action.name, "r")


async def test_closing_leaves_no_worker(served: Served) -> None:
    spec, executor = served.specs(CODE, reused(2)), served.executor()
    pids = [await value(executor, served.order(spec("pid"), x=1)) for _ in range(2)]
    await executor.close()
    assert not any(map(runs, pids))
    assert os.listdir(served.home / "workers") == []


async def test_whoever_waits_for_a_place_hears_of_it_where_there_can_be_no_worker(
    served: Served, tmp_path: Path
) -> None:
    spec, executor = served.specs(CODE, reused()), served.executor()
    note = tmp_path / "note"
    running = asyncio.ensure_future(run(executor, served.order(spec("lasts"), note=str(note))))
    await eventually(lambda: note.exists() and note.read_text() != "")
    waiting = [asyncio.ensure_future(run(executor, served.order(spec("pid"), x=x))) for x in range(3)]
    # They wait for a place, once they have come so far.
    pool = next(iter(executor._workers._pools.values()))
    await eventually(lambda: len(pool._waiting) == 3)
    workers = served.home / "workers"
    workers.rename(served.home / "no-workers")
    workers.touch()
    os.kill(int(note.read_text()), signal.SIGKILL)
    await running
    async with asyncio.timeout(10):
        for each in waiting:
            with pytest.raises(AttemptLostError, match="workers"):
                await each


async def test_attempt_whose_worker_has_ended_before_it_is_lost(served: Served, tmp_path: Path) -> None:
    spec, executor = served.specs(CODE, reused()), served.executor()
    order = served.order(spec("pid"), x=1)
    await value(executor, order)
    (worker,) = next(iter(executor._workers._pools.values()))._workers
    await worker.close()
    with pytest.raises(AttemptLostError, match="before it could begin"):
        await worker.run(order, (), tmp_path / "log", lambda: None)
