"""What one attempt costs where each has a process of its own: `a0` from its start to its end."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from _harness import PROGRAMS, Bench, Figure, Interpreter, bench
from flyteidl2.core.literals_pb2 import Literal, Primitive, Scalar
from flyteidl2.task.common_pb2 import Inputs, NamedLiteral, Outputs

from flyte._forks.client import ForkServer, ServerSpec
from flyte._worker.forked import ENTRY, PRELOAD, launch_attempt, module_as_text

RESOLVER = "flyte._internal.resolvers.default.DefaultTaskResolver"
TWENTY_ONE = Literal(scalar=Scalar(primitive=Primitive(integer=21)))


def cold_ms(session: Bench, interpreter: Interpreter) -> dict[str, float]:
    """Milliseconds of one process that doubles a number, with its code in the working directory."""
    with TemporaryDirectory(dir=session.folder) as folder:
        prefix, inputs = Path(folder, "a", "1"), Path(folder, "inputs.pb")
        # The official release makes no folders.
        prefix.mkdir(parents=True)
        inputs.write_bytes(Inputs(literals=[NamedLiteral(name="x", value=TWENTY_ONE)]).SerializeToString())
        a0 = interpreter.python.parent / "a0"
        command: list[str | Path] = [a0, "--inputs", inputs, "--outputs-path", prefix, "--version", "v"]
        command += ["--run-base-dir", folder, "--raw-data-path", Path(folder, "raw"), "--run-name", "r", "--name", "a"]
        command += ["--project", "p", "--domain", "d", "--org", "o", "--resolver", RESOLVER]
        start = time.perf_counter()
        session.output_of(*command, "mod", "one_line", "instance", "double")
        elapsed_ms = (time.perf_counter() - start) * 1e3
        if not (prefix / "outputs.pb").exists():
            raise SystemExit(f"{interpreter.python}: a0 left no outputs")
    return {"cold": elapsed_ms}


async def forked_ms(folder: Path, count: int) -> tuple[list[float], list[float]]:
    """Milliseconds of forked attempts, one after the other: from the request to the first line of the task, and to the
    end of the process."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("FLYTE", "PYTHON"))}
    server = ForkServer(
        ServerSpec(
            python=sys.executable,
            flags=(),
            path=tuple(sys.path),
            keeps_own_path=False,
            environment=environment,
            entry=ENTRY,
            preload=(PRELOAD, module_as_text(PROGRAMS, "attempted")),
        )
    )
    first_lines, whole = [], []
    try:
        await server.ready()
        for number in range(count + 1):
            prefix = folder / str(number)
            prefix.mkdir()
            asked_at = time.time()
            literal = Literal(scalar=Scalar(primitive=Primitive(float_value=asked_at)))
            named = NamedLiteral(name="asked_at", value=literal)
            (prefix / "inputs.pb").write_bytes(Inputs(literals=[named]).SerializeToString())
            arguments = ["--inputs", str(prefix / "inputs.pb"), "--outputs-path", str(prefix), "--version", "v"]
            arguments += ["--run-base-dir", str(folder), "--raw-data-path", str(prefix / "raw"), "--run-name", "r"]
            arguments += ["--name", "a", "--project", "p", "--domain", "d", "--org", "o", "--resolver", RESOLVER]
            arguments += ["mod", "attempted", "instance", "first_line"]
            if await launch_attempt(server, arguments, environment, str(prefix)).wait():
                raise SystemExit("a forked attempt failed")
            ended_at = time.time()
            outputs = Outputs.FromString((prefix / "outputs.pb").read_bytes())
            first_lines.append(outputs.literals[0].value.scalar.primitive.float_value)
            whole.append((ended_at - asked_at) * 1e3)
    finally:
        await server.close()
    return first_lines[1:], whole[1:]


def main() -> None:
    with bench("attempts", __doc__ or "", runs=7) as session:
        ours, official = session.in_turn(lambda interpreter: cold_ms(session, interpreter))
        with TemporaryDirectory(dir=session.folder) as folder:
            first_lines, whole = asyncio.run(forked_ms(Path(folder), 40))
        session.figures += [
            Figure("one cold `a0`, start to exit", "ms", ours["cold"], official["cold"]),
            Figure("one forked `a0`, asked for to first line", "ms", first_lines, at_most=25),
            Figure("one forked `a0`, asked for to end", "ms", whole),
        ]


if __name__ == "__main__":
    main()
