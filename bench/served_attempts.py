"""Attempts that a control plane's executor runs: how soon they start, what they cost, alone and in workers; ours and,
where `--official` names its Python, those of the official release under our executor."""

from __future__ import annotations

import json
from typing import Any

from _harness import Bench, Figure, bench


def measured(session: Bench, what: str, count: int) -> dict[str, float]:
    arguments = [what, str(count)]
    if what == "official":
        arguments.append(str(session.official.python.parent.parent))
    figures: dict[str, float] = json.loads(session.output_of(session.ours.python, "served.py", *arguments))
    return figures


def main() -> None:
    with bench("served_attempts", __doc__ or "", runs=3) as session:
        rounds: list[dict[str, Any]] = [
            {what: measured(session, what, count) for what, count in SIZES.items()} for _ in range(session.runs)
        ]

        def samples(what: str, name: str) -> list[float]:
            return [each[what][name] for each in rounds]

        session.figures += [
            Figure("own process: first attempt at new code, to its first line", "ms", samples("own", "cold_ms")),
            Figure("own process: to the first line", "ms", samples("own", "first_line_ms"), at_most=25),
            Figure(
                "own process: CPU of an attempt, its process and the fork server",
                "ms",
                samples("own", "cpu_ms"),
                at_most=20,
            ),
            Figure("own process: CPU of an attempt, the server", "ms", samples("own", "server_ms")),
            Figure("reused worker: wall time of an attempt, 40 at once", "ms", samples("reused", "many_ms")),
            Figure(
                "reused worker: CPU of an attempt, the worker, 40 at once",
                "ms",
                samples("reused", "many_cpu_ms"),
                at_most=1,
            ),
            Figure(
                "reused worker: CPU of an attempt, the server, 40 at once",
                "ms",
                samples("reused", "many_server_ms"),
                at_most=0.5,
            ),
            Figure("reused worker: CPU of an attempt, the worker, one by one", "ms", samples("reused", "one_cpu_ms")),
            Figure(
                "reused worker: CPU of an attempt, the server, one by one", "ms", samples("reused", "one_server_ms")
            ),
            Figure("official release: eleven attempts at once, warm", "s", samples("official", "eleven_s"), at_most=3),
            Figure("official release: first attempt, its fork server included", "s", samples("official", "cold_s")),
        ]


SIZES = {"own": 100, "reused": 1000, "official": 11}

if __name__ == "__main__":
    main()
