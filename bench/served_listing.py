"""How long a server takes to list the first page of 100,000 runs, ours only."""

from __future__ import annotations

import json

from _harness import Figure, bench

RUNS = 100_000


def main() -> None:
    with bench("served_listing", __doc__ or "", runs=15) as session:
        ours = session.ours
        samples = json.loads(session.output_of(ours.python, "served_runs.py", str(RUNS), str(session.runs)))
        for what, times in samples.items():
            session.figures.append(Figure(f"{what}, {RUNS:,} runs in the store", "ms", times, at_most=100))


if __name__ == "__main__":
    main()
