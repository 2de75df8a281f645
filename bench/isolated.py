"""Attempts in processes of their own: how soon they start, what they cost, what they gain; ours only."""

from __future__ import annotations

import json
from typing import Any

from _harness import Bench, Figure, bench


def measured(session: Bench, what: str, count: int) -> Any:
    return json.loads(session.output_of(session.ours.python, "attempted.py", what, str(count)))


def main() -> None:
    with bench("isolated", __doc__ or "", runs=5) as session:
        measured(session, "cold", 1)  # which builds the environment
        rounds = [
            {what: measured(session, what, count) for what, count in SIZES.items()} for _ in range(session.runs + 1)
        ][1:]
        warm = [sample for each in rounds for sample in each["warm"][1:]]
        gained = [each["both"]["in_turn"] / each["both"]["at_once"] for each in rounds]
        session.figures += [
            Figure("own process: asked for to first line", "ms", warm, at_most=25),
            Figure("own process: CPU of an attempt, all processes", "ms", [each["cpu"] for each in rounds], at_most=20),
            Figure(
                "reused worker: an action, 800 at once", "ms", [each["reused"]["many"] for each in rounds], at_most=2
            ),
            Figure("reused worker: an action, one by one", "ms", [each["reused"]["one"] for each in rounds], at_most=2),
            Figure("built image: run to first line, cold", "s", [each["cold"] for each in rounds], at_most=0.6),
            Figure("two computations: at once, times as fast as in turn", "x", gained),
        ]


SIZES = {"warm": 40, "cpu": 60, "reused": 200, "cold": 1, "both": 20_000_000}

if __name__ == "__main__":
    main()
