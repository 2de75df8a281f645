"""What starting costs: importing the package, asking for help, running a one-line task."""

from __future__ import annotations

from _harness import Bench, Figure, Interpreter, bench

IMPORT = "import time; start = time.perf_counter(); import flyte; print((time.perf_counter() - start) * 1e3)"
# Names are bound lazily on our side: what an import saves must not be paid on first use instead.
DECLARE = "import time; start = time.perf_counter(); import one_line; print((time.perf_counter() - start) * 1e3)"


def startup_ms(session: Bench, interpreter: Interpreter) -> dict[str, float]:
    """Milliseconds of each way to start, once."""
    return {
        "import": float(session.output_of(interpreter.python, "-c", IMPORT)),
        "declare": float(session.output_of(interpreter.python, "-c", DECLARE)),
        "help": session.wall_ms(interpreter.flyte, "--help"),
        "run": session.wall_ms(interpreter.flyte, "run", "--local", "one_line.py", "double", "--x", "21"),
    }


def main() -> None:
    with bench("startup", __doc__ or "", runs=15) as session:
        ours, official = session.in_turn(lambda interpreter: startup_ms(session, interpreter))
        session.figures += [
            Figure("`import flyte`", "ms", ours["import"], official["import"], at_most_ratio=0.6, at_most=120),
            Figure("`import flyte` and declare a task", "ms", ours["declare"], official["declare"]),
            Figure("`flyte --help`, whole process", "ms", ours["help"], official["help"], at_most_ratio=0.35),
            Figure("`flyte run --local`, whole process", "ms", ours["run"], official["run"], at_most_ratio=0.7),
        ]


if __name__ == "__main__":
    main()
