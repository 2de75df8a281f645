"""Real `a0` processes, and what they leave."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flyteidl2.core.execution_pb2 import ContainerError, ErrorDocument
from flyteidl2.core.literals_pb2 import KeyValuePair
from flyteidl2.task.common_pb2 import Inputs, Outputs

from flyte.models import NativeInterface
from flyte.types._codec import InterfaceCodec

A0 = [sys.executable, "-c", "from flyte._worker.program import main; main()"]
RESOLVER = "flyte._internal.resolvers.default.DefaultTaskResolver"
LIMIT_S = 60.0
IDENTITY = {
    "_U_ORG_NAME": "org",
    "FLYTE_INTERNAL_EXECUTION_PROJECT": "project",
    "FLYTE_INTERNAL_EXECUTION_DOMAIN": "domain",
}


def inputs_of(values: Mapping[str, Any], context: Mapping[str, str] | None = None) -> Inputs:
    """The inputs with these values."""
    codec = InterfaceCodec(
        NativeInterface.from_types({name: type(value) for name, value in values.items()}, {}), "test"
    )
    inputs: Inputs = codec.encode_inputs(dict(values))
    inputs.context.extend(KeyValuePair(key=key, value=value) for key, value in (context or {}).items())
    return inputs


def value_of(outputs: Outputs) -> Any:
    """The one value of primitive type that they hold."""
    (literal,) = outputs.literals
    primitive = literal.value.scalar.primitive
    return getattr(primitive, primitive.WhichOneof("value") or "")


@dataclass(frozen=True)
class Ended:
    """A process that has ended, and the files at its prefix."""

    exit_code: int
    stdout: str
    stderr: str
    prefix: Path

    @property
    def files(self) -> list[str]:
        """The names at the prefix."""
        return sorted(os.listdir(self.prefix)) if self.prefix.exists() else []

    @property
    def value(self) -> Any:
        """What the task returned."""
        assert (self.exit_code, "outputs.pb" in self.files, "error.pb" in self.files) == (0, True, False), self.stderr
        return value_of(Outputs.FromString((self.prefix / "outputs.pb").read_bytes()))

    @property
    def error(self) -> ContainerError:
        """Why it failed; that is all there is then."""
        assert "outputs.pb" not in self.files
        return ErrorDocument.FromString((self.prefix / "error.pb").read_bytes()).error


class Attempts:
    """Attempts of tasks of one project.

    Args:
        project: The folder with the code, in which processes start.
        folder: Anything else is below it.
    """

    def __init__(self, project: Path, folder: Path) -> None:
        self.project = project
        self.folder = folder
        self.inputs = folder / "inputs.pb"
        self.prefix = folder / "run" / "a" / "1"
        self._processes: list[subprocess.Popen[str]] = []
        self.give()

    def write(self, code: str, name: str = "tasks") -> None:
        """A module with an environment `env`, and this code."""
        heading = "import asyncio, os, signal, subprocess, sys, threading, time\nimport flyte\n"
        (self.project / f"{name}.py").write_text(f"{heading}env = flyte.TaskEnvironment('e')\n{code}")

    def give(self, context: Mapping[str, str] | None = None, **values: Any) -> None:
        """The inputs of the next attempts."""
        self.inputs.write_bytes(inputs_of(values, context).SerializeToString())

    def arguments(self, task: str | None, *options: str, module: str = "tasks") -> list[str]:
        """The command line of an attempt; options given here win."""
        command = ["--inputs", str(self.inputs), "--outputs-path", str(self.prefix), "--version", "v1"]
        command += ["--run-base-dir", str(self.folder / "run"), "--raw-data-path", str(self.folder / "raw")]
        command += ["--name", "a", "--run-name", "r", *options]
        return command + (["--resolver", RESOLVER, "mod", module, "instance", task] if task else [])

    def start(
        self,
        task: str | None,
        *options: str,
        module: str = "tasks",
        variables: Mapping[str, str] | None = None,
        before: Callable[[], None] | None = None,
        command: Sequence[str] | None = None,
        stdout: int = subprocess.PIPE,
        keeps: Sequence[int] = (),
    ) -> subprocess.Popen[str]:
        """A process of an attempt.

        Args:
            before: Is called in the process, before it is `a0`.
            command: Instead of the arguments that are made of the rest.
            keeps: Descriptors that stay open in it.
        """
        process = subprocess.Popen(
            [*A0, *(command or self.arguments(task, *options, module=module))],
            cwd=self.project,
            env={**os.environ, "TMPDIR": str(self.temporary), **IDENTITY, **(variables or {})},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=before,
            start_new_session=True,
            pass_fds=keeps,
        )
        self._processes.append(process)
        return process

    @property
    def temporary(self) -> Path:
        """The folder for temporary files of the processes."""
        folder = self.folder / "tmp"
        folder.mkdir(exist_ok=True)
        return folder

    def wait(self, process: subprocess.Popen[str]) -> Ended:
        """What is there when the process has ended."""
        stdout, stderr = process.communicate(timeout=LIMIT_S)
        return Ended(process.returncode, stdout or "", stderr, self.prefix)

    def run(self, task: str | None, *options: str, **more: Any) -> Ended:
        """What an attempt leaves."""
        return self.wait(self.start(task, *options, **more))

    def end(self) -> None:
        """Nothing of what was started here runs."""
        for process in self._processes:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.communicate()


def wait_for_line(process: subprocess.Popen[str], line: str) -> None:
    """The process has printed that line."""
    assert process.stdout is not None
    for printed in process.stdout:
        if printed.rstrip("\n") == line:
            return
    raise AssertionError(f"{line!r} was not printed")
