"""A process that is told to end: its task may save what it has, and does not take for ever."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from flyteidl2.core.execution_pb2 import ContainerError, ExecutionError

from tests.worker.attempts import Attempts, wait_for_line

TASKS = """
def save(what):
    flyte.ctx().checkpoint.save_sync(what.encode())

@env.task
def sleeps() -> int:
    try:
        print("started", flush=True)
        time.sleep(600)
    finally:
        save("sleeps")
    return 1

@env.task
async def awaits() -> int:
    try:
        print("started", flush=True)
        await asyncio.sleep(600)
    finally:
        await flyte.ctx().checkpoint.save(b"awaits")
    return 1

@env.task
def runs_program() -> int:
    try:
        subprocess.run("echo started; exec sleep 600 > /dev/null 2>&1", shell=True)
    finally:
        save("runs_program")
    return 1

@env.task
def runs_loop() -> int:
    async def main():
        print("started", flush=True)
        await asyncio.sleep(600)
    try:
        asyncio.run(main())
    finally:
        save("runs_loop")
    return 1

@env.task
async def finishes() -> int:
    print("started", flush=True)
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        pass
    return 7

@env.task
def raises_its_own() -> int:
    try:
        print("started", flush=True)
        time.sleep(600)
    except BaseException:
        raise ValueError("on the way out") from None

@env.task
def refuses_after_a_loop() -> int:
    async def main():
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, print)
    asyncio.run(main())
    while True:
        try:
            print("started", flush=True)
            time.sleep(600)
        except BaseException:
            pass

@env.task
def refuses() -> int:
    line = "started"
    while True:
        try:
            print(line, flush=True)
            time.sleep(600)
        except BaseException:
            line = "no"

@env.task
async def refuses_in_loop() -> int:
    print("started", flush=True)
    while True:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            print("no", flush=True)

@env.task
async def blocks_loop() -> int:
    print("started", flush=True)
    while True:
        time.sleep(0.001)

@env.task
def is_in_c() -> int:
    import ctypes
    # A call that no signal ends; Python hears of one when it returns.
    ctypes.CDLL(None).system(b"echo started; exec sleep 600 > /dev/null 2>&1")
    return 1
"""
QUICK = {"FLYTE_TERMINATION_GRACE_S": "0.2"}


@pytest.fixture(autouse=True)
def tasks(attempts: Attempts) -> None:
    attempts.write(TASKS)


def checkpoint(attempts: Attempts) -> Path:
    return attempts.folder / "checkpoint"


@pytest.mark.parametrize("task", ["sleeps", "awaits", "runs_program", "runs_loop"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_task_that_is_told_to_end_saves_its_checkpoint_and_is_interrupted(
    attempts: Attempts, task: str, number: signal.Signals
) -> None:
    process = attempts.start(task, "--checkpoint-path", str(checkpoint(attempts)))
    wait_for_line(process, "started")
    process.send_signal(number)
    ended = attempts.wait(process)
    assert (ended.exit_code, ended.files) == (128 + number, ["error.pb"])
    assert checkpoint(attempts).read_text() == task
    error = ended.error
    assert (error.code, error.kind, error.origin) == ("Interrupted", ContainerError.RECOVERABLE, ExecutionError.SYSTEM)
    assert f"'e.{task}' was told to end ({number.name})" in error.message


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_signal_that_another_thread_gets_reaches_the_task(attempts: Attempts, kind: str) -> None:
    wait = "time.sleep(600)" if kind == "def" else "await asyncio.sleep(600)"
    attempts.write(
        "def tell():\n    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)\n"
        f"@env.task\n{kind} main() -> None:\n    threading.Timer(0.1, tell).start()\n    {wait}\n"
    )
    ended = attempts.run("main")
    assert (ended.exit_code, ended.error.code) == (143, "Interrupted")


def test_what_a_task_returns_when_it_is_told_to_end_is_its_outcome(attempts: Attempts) -> None:
    process = attempts.start("finishes")
    wait_for_line(process, "started")
    process.terminate()
    assert attempts.wait(process).value == 7


def test_an_error_on_the_way_out_is_still_an_interruption(attempts: Attempts) -> None:
    process = attempts.start("raises_its_own")
    wait_for_line(process, "started")
    process.terminate()
    ended = attempts.wait(process)
    assert (ended.exit_code, ended.error.code) == (143, "Interrupted")
    assert "ValueError: on the way out" in ended.stderr


@pytest.mark.parametrize("task", ["refuses", "refuses_in_loop", "refuses_after_a_loop", "blocks_loop", "is_in_c"])
def test_a_task_that_does_not_end_is_ended_after_the_grace_period(attempts: Attempts, task: str) -> None:
    process = attempts.start(task, variables=QUICK)
    wait_for_line(process, "started")
    told_at = time.monotonic()
    process.terminate()
    ended = attempts.wait(process)
    assert (ended.exit_code, ended.files) == (143, [])
    assert 0.2 <= time.monotonic() - told_at < 5
    assert ended.stderr == "the task had not ended 0.2 s after it was told to\n"


def test_being_told_twice_gives_no_new_grace_period_and_no_second_interruption(attempts: Attempts) -> None:
    process = attempts.start("refuses", variables=QUICK)
    wait_for_line(process, "started")
    process.terminate()
    wait_for_line(process, "no")
    process.terminate()
    ended = attempts.wait(process)
    assert (ended.exit_code, ended.stdout) == (143, "")


def test_a_process_whose_output_nobody_reads_ends_too(attempts: Attempts) -> None:
    attempts.write(
        "@env.task\ndef prints() -> None:\n    print('started', flush=True)\n"
        "    while True:\n        sys.stderr.write('x' * 100_000)\n        sys.stderr.flush()\n"
    )
    process = attempts.start("prints", variables=QUICK)
    wait_for_line(process, "started")
    process.terminate()
    assert process.wait(timeout=10) == 143


def test_a_process_that_is_told_to_end_while_it_imports_runs_nothing(attempts: Attempts) -> None:
    attempts.write(
        "print('importing', flush=True)\nos.read(int(os.environ['GO']), 1)\n"
        "@env.task\ndef main() -> None:\n    print('ran')\n"
        "@env.task\nasync def amain() -> None:\n    await asyncio.sleep(0)\n    print('ran')\n",
        "slow",
    )
    for task in ("main", "amain"):
        reads, writes = os.pipe()
        process = attempts.start(task, module="slow", variables={"GO": str(reads)}, keeps=[reads])
        os.close(reads)
        wait_for_line(process, "importing")
        process.terminate()
        os.close(writes)
        ended = attempts.wait(process)
        assert (ended.exit_code, ended.stdout, ended.error.code) == (143, "", "Interrupted")


def test_a_process_that_is_told_to_end_while_it_writes_writes_all(attempts: Attempts) -> None:
    attempts.write(
        "import atexit\ndef last():\n    print('writing', flush=True)\n    os.read(int(os.environ['GO']), 1)\n"
        "@env.task\ndef main() -> int:\n    atexit.register(last)\n    return 5\n"
    )
    reads, writes = os.pipe()
    process = attempts.start("main", variables={"GO": str(reads)}, keeps=[reads])
    os.close(reads)
    wait_for_line(process, "writing")
    process.terminate()
    os.close(writes)
    assert attempts.wait(process).value == 5


def test_sigint_stays_ignored_where_it_was(attempts: Attempts) -> None:
    attempts.write(
        "@env.task\ndef main() -> int:\n    os.kill(os.getpid(), signal.SIGINT)\n    time.sleep(0.01)\n    return 1\n"
    )
    ended = attempts.run("main", before=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN) and None)
    assert ended.value == 1
