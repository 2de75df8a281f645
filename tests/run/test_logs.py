from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import flyte
from flyte._controller.log_files import LogReader, log_path, logged_actions, logged_attempts
from flyte._controller.streams import TaskStream

env = flyte.TaskEnvironment(name="lg")


def texts(home: Path, action_name: str = "a0", attempt_no: int = 1) -> list[str]:
    return [line.text for line in LogReader(home, "r", action_name, attempt_no).new_lines()]


def logs_of_children(home: Path) -> list[list[str]]:
    return sorted(texts(home, name) for name, _ in logged_actions(home, "r") if name != "a0")


@flyte.trace
async def traced() -> None:
    print("in a trace")


@env.task
async def says(text: str) -> None:
    print(text)
    await asyncio.sleep(0)
    print(text, end="", file=sys.stderr)


@env.task
def says_on_a_thread(text: str) -> None:
    print(text)


@env.task
async def several(n: int) -> None:
    print("before")
    await asyncio.gather(*(says(text=str(i)) for i in range(n)), says_on_a_thread.aio(text="sync"))


@env.task(retries=flyte.RetryStrategy(count=1, backoff=flyte.Backoff(base=timedelta(0))))
async def twice() -> None:
    print("attempt", flyte.ctx().attempt_number)
    if flyte.ctx().attempt_number == 0:
        raise ConnectionError


@env.task
async def logs() -> None:
    await traced()
    flyte.logger.warning("for %s", "users")
    logging.getLogger("lg").warning("from a library")


@env.task
async def silent() -> int:
    return 1


def test_what_a_task_prints_is_kept_with_the_time_of_each_line(flyte_home: Path) -> None:
    before = datetime.now(UTC)
    flyte.with_runcontext(name="r").run(says, text="hello")
    first, last = LogReader(flyte_home, "r", "a0", 1).new_lines()
    assert (first.text, last.text) == ("hello", "hello")
    assert before <= datetime.fromisoformat(first.time) <= datetime.fromisoformat(last.time) <= datetime.now(UTC)


def test_concurrent_tasks_have_logs_of_their_own(flyte_home: Path) -> None:
    flyte.with_runcontext(name="r").run(several, n=3)
    assert logs_of_children(flyte_home) == [["0", "0"], ["1", "1"], ["2", "2"], ["sync"]]
    assert texts(flyte_home) == ["before"]


def test_each_attempt_has_a_log(flyte_home: Path) -> None:
    flyte.with_runcontext(name="r").run(twice)
    assert logged_attempts(flyte_home, "r", "a0") == [1, 2]
    assert [texts(flyte_home, "a0", attempt_no) for attempt_no in (1, 2)] == [["attempt 0"], ["attempt 1"]]


def test_loggers_and_traces_write_to_the_log_of_their_task(
    flyte_home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = logging.StreamHandler(sys.stderr)
    monkeypatch.setattr(logging.getLogger("lg"), "handlers", [handler])
    flyte.with_runcontext(name="r").run(logs)
    assert texts(flyte_home) == ["in a trace", "WARNING flyte.user: for users", "from a library"]
    assert handler.stream is sys.stderr


def test_a_task_that_prints_nothing_makes_no_file_and_no_thread(flyte_home: Path) -> None:
    flyte.with_runcontext(name="r").run(silent)
    assert not log_path(flyte_home, "r", "a0", 1).parent.exists()
    assert "flyte-logs" not in [thread.name for thread in threading.enumerate()]


def test_one_task_alone_prints_to_the_terminal_as_it_does_without_flyte(capsys: pytest.CaptureFixture[str]) -> None:
    flyte.run(says, text="hello")
    assert capsys.readouterr() == ("hello\n", "hello")


def test_tasks_that_run_at_once_print_whole_lines_with_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    all_run = asyncio.Barrier(3)

    @env.task
    async def meets(text: str) -> None:
        await all_run.wait()
        print(text, end=" ")
        await all_run.wait()
        print("and out")

    @env.task
    async def meeting() -> None:
        await asyncio.gather(*(meets(text=text) for text in "abc"))

    flyte.run(meeting)
    lines = capsys.readouterr().out.splitlines()
    assert sorted(re.sub(r"\w{6}", "NAME", line) for line in lines) == [
        f"[meets NAME] {text} and out" for text in "abc"
    ]


def test_the_streams_are_as_they_were_after_the_run(flyte_home: Path) -> None:
    before = (sys.stdout, sys.stderr)
    flyte.run(says, text="hello")
    assert (sys.stdout, sys.stderr) == before


def test_a_stream_that_a_task_put_in_place_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    own = open(os.devnull, "w", encoding="utf-8")

    @env.task
    async def replaces() -> None:
        sys.stdout = own

    with own, monkeypatch.context() as context:
        context.setattr(sys, "stdout", sys.stdout)
        flyte.run(replaces)
        assert sys.stdout is own


def test_what_is_printed_outside_of_tasks_goes_to_the_terminal_alone(
    flyte_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    @env.task
    def starts_a_thread() -> None:
        assert isinstance(sys.stdout, TaskStream)
        thread = threading.Thread(target=print, args=("from a thread",))
        thread.start()
        thread.join()

    flyte.with_runcontext(name="r").run(starts_a_thread)
    assert capsys.readouterr().out == "from a thread\n"
    assert texts(flyte_home) == []


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_writes_to_the_terminal_and_not_to_the_log(
    flyte_home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    @env.task
    async def forks() -> None:
        child = os.fork()
        if child == 0:
            print("from the child", flush=True)
            os._exit(0)
        os.waitpid(child, 0)

    flyte.with_runcontext(name="r").run(forks)
    assert capfd.readouterr().out == "from the child\n"
    assert texts(flyte_home) == []


def test_a_log_that_cannot_be_written_takes_nothing_with_it(
    flyte_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    @env.task
    async def in_the_way() -> str:
        log_path(flyte_home, "r", "a0", 1).parent.write_text("a file where the folder would be")
        print("hello")
        return "done"

    assert flyte.with_runcontext(name="r").run(in_the_way).outputs().o0 == "done"
    captured = capsys.readouterr()
    assert captured.out == "hello\n"
    assert "is not in its logs" in captured.err


def test_many_lines_are_kept_in_order(flyte_home: Path) -> None:
    @env.task
    def counts() -> None:
        for i in range(20_000):
            print(i)

    flyte.with_runcontext(name="r").run(counts)
    assert texts(flyte_home) == [str(i) for i in range(20_000)]
