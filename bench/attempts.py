"""What one attempt costs where each has a process of its own: `a0` from its start to its end."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from _harness import Bench, Figure, Interpreter, bench
from flyteidl2.core.literals_pb2 import Literal, Primitive, Scalar
from flyteidl2.task.common_pb2 import Inputs, NamedLiteral

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


def main() -> None:
    with bench("attempts", __doc__ or "", runs=7) as session:
        ours, official = session.in_turn(lambda interpreter: cold_ms(session, interpreter))
        session.figures.append(Figure("one cold `a0`, start to exit", "ms", ours["cold"], official["cold"]))


if __name__ == "__main__":
    main()
