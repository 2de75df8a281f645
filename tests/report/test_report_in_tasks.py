"""The report of a running action: each has its own, and a flush shows it at once."""

from __future__ import annotations

import asyncio
import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import flyte
import flyte.report

env = flyte.TaskEnvironment(name="reporting")


def page() -> str:
    """The page of the running action as its file has it."""
    return Path(flyte.ctx().output_path, "report.html").read_text("utf-8")


def has_page() -> bool:
    return Path(flyte.ctx().output_path, "report.html").exists()


def test_outside_a_task_nothing_is_kept_and_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    flyte.report.log("<p>x</p>", do_flush=True)
    flyte.report.replace("<p>y</p>")
    flyte.report.get_tab("t").log("z")
    flyte.report.flush()
    assert flyte.report.current_report() == flyte.report.Report("dummy")
    assert os.listdir(tmp_path) == []


async def test_outside_a_task_the_awaitable_forms_do_nothing_either() -> None:
    await flyte.report.log.aio("<p>x</p>", do_flush=True)
    await flyte.report.replace.aio("<p>x</p>", do_flush=True)
    await flyte.report.flush.aio()
    assert not flyte.report.current_report().has_content()


def test_signatures_are_those_of_plain_functions() -> None:
    for function in (flyte.report.log, flyte.report.replace):
        assert list(inspect.signature(function).parameters) == ["content", "do_flush"]
        assert inspect.iscoroutinefunction(function.aio)
    assert not inspect.signature(flyte.report.flush).parameters


@env.task(report=True)
async def write_awaiting() -> list[bool]:
    await flyte.report.log.aio("<p>first</p>")
    seen = [has_page()]
    await flyte.report.log.aio("<p>second</p>", do_flush=True)
    seen += ["<p>first</p>\n<p>second</p>" in page()]
    await flyte.report.replace.aio("<p>third</p>", do_flush=True)
    seen += ["<p>third</p>" in page() and "<p>first" not in page()]
    await flyte.report.replace.aio("<p>fourth</p>")
    seen += ["fourth" in page()]
    await flyte.report.flush.aio()
    return [*seen, "fourth" in page()]


@env.task(report=True)
async def write_blocking_on_the_loop() -> list[bool]:
    return write_blocking_here()


@env.task(report=True)
def write_blocking_on_a_thread() -> list[bool]:
    return write_blocking_here()


def write_blocking_here() -> list[bool]:
    flyte.report.log("<p>first</p>")
    seen = [has_page()]
    flyte.report.log("<p>second</p>", do_flush=True)
    seen += ["<p>first</p>\n<p>second</p>" in page()]
    flyte.report.replace("<p>third</p>", do_flush=True)
    seen += ["<p>third</p>" in page() and "<p>first" not in page()]
    flyte.report.replace("<p>fourth</p>")
    seen += ["fourth" in page()]
    flyte.report.flush()
    return [*seen, "fourth" in page()]


@pytest.mark.parametrize("task", [write_awaiting, write_blocking_on_the_loop, write_blocking_on_a_thread])
def test_changes_are_on_the_page_after_a_flush_and_not_before(task: flyte.TaskTemplate[[], list[bool], Any]) -> None:
    assert flyte.run(task).outputs().o0 == [False, True, True, False, True]


@env.task(report=True)
async def flush_twice() -> list[bool]:
    flyte.report.get_tab("metrics").log("<p>x</p>")
    flyte.report.flush()
    first = page()
    flyte.report.flush()
    return [page() == first, os.listdir(flyte.ctx().output_path) == ["report.html"]]


def test_second_flush_without_a_change_writes_the_same_page_and_leaves_nothing_beside_it() -> None:
    assert flyte.run(flush_twice).outputs().o0 == [True, True]


@env.task(report=True)
async def flush_at_once(n: int) -> list[bool]:
    await asyncio.gather(*(flyte.report.log.aio(f"<p>line {i}</p>", do_flush=True) for i in range(n)))
    return [
        all(f"<p>line {i}</p>" in page() for i in range(n)),
        os.listdir(flyte.ctx().output_path) == ["report.html"],
    ]


def test_of_many_flushes_at_once_the_last_word_stays() -> None:
    assert flyte.run(flush_at_once, 40).outputs().o0 == [True, True]


@env.task(report=True)
async def sign(name: str) -> bool:
    await flyte.report.log.aio(f"<p>by {name}.</p>", do_flush=True)
    # The others write now.
    await asyncio.sleep(0)
    await flyte.report.flush.aio()
    return page().count("<p>by ") == 1 and f"<p>by {name}.</p>" in page()


@env.task(report=True)
def sign_on_a_thread(name: str) -> bool:
    flyte.report.log(f"<p>by {name}.</p>", do_flush=True)
    flyte.report.Timeline("steps").row(label=f"row of {name}.")
    flyte.report.flush()
    return page().count("<p>by ") == 1 and page().count("row of ") == 1 and f"row of {name}." in page()


@env.task(report=True)
async def sign_all(n: int) -> list[bool]:
    await flyte.report.log.aio("<p>by the parent.</p>")
    signed = await asyncio.gather(
        *(sign(f"a{i}") for i in range(n)), *(sign_on_a_thread.aio(f"b{i}") for i in range(n))
    )
    await flyte.report.flush.aio()
    return [*signed, page().count("<p>by ") == 1]


def test_actions_that_run_together_write_each_their_own_page() -> None:
    assert flyte.run(sign_all, 20).outputs().o0 == [True] * 41


@env.task(report=True)
async def log_in_blocks() -> str:
    flyte.report.log("<p>before</p>")
    with flyte.group("inside"):
        flyte.report.log("<p>inside</p>")
        with flyte.custom_context(who="me"):
            flyte.report.log("<p>deeper</p>")
    flyte.report.log("<p>after</p>")
    return flyte.report.current_report().get_tab("main").get_html()


def test_an_action_has_one_report_in_all_its_blocks() -> None:
    logged = flyte.run(log_in_blocks).outputs().o0
    assert logged == "<p>before</p>\n<p>inside</p>\n<p>deeper</p>\n<p>after</p>"


@env.task(report=True)
async def ask_for_a_missing_tab() -> str:
    with pytest.raises(ValueError, match="has no tab 'loss'"):
        flyte.report.get_tab("loss", create_if_missing=False)
    return flyte.report.current_report().name


def test_report_of_a_task_is_named_as_its_action() -> None:
    assert flyte.run(ask_for_a_missing_tab).outputs().o0 == "a0"


@env.task(report=True)
async def flush_onto_a_folder() -> bool:
    Path(flyte.ctx().output_path, "report.html").mkdir()
    flyte.report.log("<p>x</p>")
    with pytest.raises(OSError, match=r"report\.html"):
        flyte.report.flush()
    return os.listdir(flyte.ctx().output_path) == ["report.html"]


def test_page_that_cannot_be_written_is_an_error_and_leaves_nothing_behind() -> None:
    assert flyte.run(flush_onto_a_folder).outputs().o0 is True


def test_importing_it_stays_light() -> None:
    heavy = {"asyncio", "google.protobuf", "pydantic", "rich", "yaml"}
    program = f"import sys, flyte.report\nprint(*{heavy} & set(sys.modules))"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert output.split() == []
