"""What a trivial action takes to store, and how long the first page of a large store takes to list, ours only."""

from __future__ import annotations

import json

from _harness import Figure, bench

ACTIONS = 100_000
RUNS = 10_000


def main() -> None:
    with bench("listing", __doc__ or "", runs=7) as session:
        ours = session.ours
        stored = json.loads(session.output_of(ours.python, "stored.py", str(ACTIONS), str(RUNS)))
        commands = {
            f"`flyte get run`, {RUNS:,} runs, first page, whole process": ("get", "run"),
            f"`flyte get action`, {ACTIONS:,} actions, first page, whole process": ("get", "action", "wide"),
        }
        session.figures.append(
            Figure("a trivial action in the store, indexes included", "bytes", [stored["bytes"]], at_most=1024)
        )
        for what, command in commands.items():
            session.wall_ms(ours.flyte, *command)  # Fills the page cache.
            times = [session.wall_ms(ours.flyte, *command) for _ in range(session.runs)]
            session.figures.append(Figure(what, "ms", times, at_most=500))


if __name__ == "__main__":
    main()
