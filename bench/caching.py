"""What a result from the cache costs beside a trivial task that is executed, ours only."""

from __future__ import annotations

import json
from statistics import median

from _harness import Figure, bench

ACTIONS = 10_000


def main() -> None:
    with bench("caching", __doc__ or "", runs=7) as session:
        rounds = [
            json.loads(session.output_of(session.ours.python, "kept.py", str(ACTIONS))) for _ in range(session.runs)
        ]
        executed = [each["executed_us"] for each in rounds]
        hits = [each["hit_us"] for each in rounds]
        session.figures += [
            Figure("a trivial task, executed", "µs", executed),
            Figure("the same from the cache", "µs", hits, at_most=1.5 * median(executed)),
            Figure("the same, missed and kept", "µs", [each["computed_us"] for each in rounds]),
        ]


if __name__ == "__main__":
    main()
