"""Attempts of the official release, where `FLYTE_OFFICIAL_PYTHON` names an interpreter that has it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from flyte._server.executors.images import ImageMapping
from tests.processes import runs
from tests.server.executors.served import Served, eventually, failure, run, value

pytestmark = pytest.mark.skipif("FLYTE_OFFICIAL_PYTHON" not in os.environ, reason="FLYTE_OFFICIAL_PYTHON is not set")

CODE = """
@env.task
async def told(x: int) -> str:
    print("told", x)
    return f"{flyte.__version__} {os.getppid()} {2 * x} {os.environ['OF_RUN']}"

@env.task
def fails() -> int:
    raise LookupError("not there")

@env.task
def leaves() -> int:
    os._exit(3)

@env.task
def stays(note: str) -> int:
    open(note, "w").write(str(os.getpid()))
    time.sleep(1000)
    return 1

@env.task(report=True)
def reports() -> int:
    flyte.report.replace("<b>told</b>")
    flyte.report.flush()
    return 1
"""


def mapping() -> ImageMapping:
    """The official interpreter stands for the default images."""
    folder = Path(os.environ["FLYTE_OFFICIAL_PYTHON"]).parent.parent
    return ImageMapping([("ghcr.io/flyteorg/flyte:*", folder)])


async def test_its_attempts_are_forked_by_one_server_that_has_imported_it(served: Served) -> None:
    spec, executor = served.specs(CODE), served.executor(images=mapping())
    orders = [served.order(spec("told"), x=x, env_vars={"OF_RUN": "run"}) for x in range(11)]
    values = await asyncio.gather(*(value(executor, order) for order in orders))
    version, server, *_ = values[0].split()
    assert version.startswith("2.")
    assert values == [f"{version} {server} {2 * x} run" for x in range(11)]
    assert "told 3" in served.lines(orders[3])


async def test_what_its_files_and_its_ends_say_is_understood(served: Served) -> None:
    spec, executor = served.specs(CODE), served.executor(images=mapping())
    found = await failure(executor, served.order(spec("fails")))
    assert (found.code, found.kind, found.message, found.recoverable) == ("LookupError", "user", "not there", True)
    assert "exit code 3" in (await failure(executor, served.order(spec("leaves")))).message


async def test_what_it_starts_when_it_is_imported_runs_in_each_attempt(served: Served) -> None:
    # A report is flushed by the event loop that the release starts a thread for.
    spec, executor = served.specs(CODE), served.executor(images=mapping())
    orders = [served.order(spec("reports")) for _ in range(3)]
    await asyncio.gather(*(value(executor, order) for order in orders))
    assert all("<b>told</b>" in (Path(order.outputs_path) / "report.html").read_text() for order in orders)


async def test_it_is_killed_when_it_is_cancelled(served: Served) -> None:
    spec, executor, note = served.specs(CODE), served.executor(images=mapping()), served.folder / "note"
    running = asyncio.ensure_future(run(executor, served.order(spec("stays"), note=str(note))))
    await eventually(lambda: note.exists() and note.read_text() != "")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not runs(int(note.read_text()))


async def test_one_that_nobody_has_mapped_is_installed(served: Served) -> None:
    spec = served.specs(CODE)("told")
    spec.task_template.metadata.runtime.version = "2.12.1"
    order = served.order(spec, x=1, env_vars={"OF_RUN": "run"})
    assert (await value(served.executor(), order)).startswith("2.12.1 ")
    assert (served.home / "images" / "official-2.12.1" / "bin" / "python").exists()
