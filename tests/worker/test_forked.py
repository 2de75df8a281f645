"""Attempts of `a0` that a fork server forks."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from flyteidl2.task.common_pb2 import Outputs

from flyte._forks.client import ForkServer, ServerSpec
from flyte._worker.forked import ENTRY, PRELOAD, launch_attempt, module_as_text
from tests.worker.attempts import RESOLVER, inputs_of, value_of

PROGRAM = """
import os
import flyte

open(os.environ["LOADED"], "a").write("x")
env = flyte.TaskEnvironment(name="e")

@env.task
async def told(x: int) -> str:
    print("printed")
    return f"{x} {os.environ['WHO']} {os.path.basename(os.getcwd())} {flyte.ctx().attempt_number} {os.getppid()}"

@env.task
def fails(x: int) -> str:
    raise LookupError("not there")
"""


def arguments(folder: Path, code: Path, task: str) -> list[str]:
    options = {
        "--inputs": folder / "inputs.pb",
        "--outputs-path": folder,
        "--version": "v",
        "--raw-data-path": folder / "raw",
        "--run-name": "r",
        "--name": "a",
        "--project": "p",
        "--domain": "d",
        "--org": "o",
        "--run-base-dir": folder,
        "--dest": code,
        "--resolver": RESOLVER,
    }
    return [str(part) for pair in options.items() for part in pair] + ["mod", "forked_program", "instance", task]


def made(folder: Path, name: str, x: int) -> Path:
    path = folder / name
    path.mkdir()
    (path / "inputs.pb").write_bytes(inputs_of({"x": x}).SerializeToString())
    return path


async def test_attempts_of_one_bundle_are_forked_each_with_its_own_folder_and_variables(tmp_path: Path) -> None:
    (tmp_path / "forked_program.py").write_text(PROGRAM)
    loaded = tmp_path / "loaded"
    environment = {"PATH": os.environ["PATH"], "LOADED": str(loaded)}
    server = ForkServer(
        ServerSpec(
            python=sys.executable,
            flags=(),
            path=tuple(sys.path),
            keeps_own_path=False,
            environment=environment,
            entry=ENTRY,
            preload=(PRELOAD, module_as_text(tmp_path, "forked_program")),
        )
    )
    try:
        await server.ready()
        folders = [made(tmp_path, f"attempt{x}", x) for x in range(3)]
        launches = [
            launch_attempt(
                server,
                arguments(folder, tmp_path, "told"),
                {**environment, "WHO": f"who{x}", "FLYTE_ATTEMPT_NUMBER": str(x)},
                str(folder),
            )
            for x, folder in enumerate(folders)
        ]
        assert await asyncio.gather(*(each.wait() for each in launches)) == [0, 0, 0]
        for x, folder in enumerate(folders):
            outputs = Outputs.FromString((folder / "outputs.pb").read_bytes())
            assert value_of(outputs) == f"{x} who{x} attempt{x} {x} {server.pid}"
        failing = made(tmp_path, "failing", 1)
        launched = launch_attempt(server, arguments(failing, tmp_path, "fails"), environment, str(failing))
        assert await launched.wait() == 0
        assert (failing / "error.pb").exists()
        refused = launch_attempt(server, ["--nonsense"], environment, str(failing))
        assert await refused.wait() == 2
        assert loaded.read_text() == "x"
    finally:
        await server.close()
