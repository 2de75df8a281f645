"""What one action costs when a task awaits very many at once, and how much memory they take."""

from __future__ import annotations

import json
from statistics import median

from _harness import Bench, Figure, Interpreter, bench


def fan_out(session: Bench, interpreter: Interpreter, width: int) -> dict[str, float]:
    """What `programs/wide.py` prints for `width` tasks."""
    printed: dict[str, float] = json.loads(session.output_of(interpreter.python, "wide.py", str(width)))
    return printed


def main() -> None:
    with bench("fanout", __doc__ or "", runs=5) as session:
        ours, official = session.in_turn(lambda interpreter: fan_out(session, interpreter, 10_000))
        many_ours, many_official = session.in_turn(lambda interpreter: fan_out(session, interpreter, 100_000))
        linear_us = 1.2 * median(ours["gather_us"])
        session.figures += [
            Figure(
                "`gather` of 10,000, per action",
                "µs",
                ours["gather_us"],
                official["gather_us"],
                at_most_ratio=0.2,
                at_most=200,
            ),
            Figure("the same, whole run", "µs", ours["run_us"], official["run_us"]),
            Figure("the same, peak memory", "MiB", ours["peak_rss_mib"], official["peak_rss_mib"]),
            Figure(
                "`gather` of 100,000, per action",
                "µs",
                many_ours["gather_us"],
                many_official["gather_us"],
                at_most=linear_us,
            ),
            Figure("the same, whole run", "µs", many_ours["run_us"], many_official["run_us"]),
            Figure(
                "the same, peak memory", "MiB", many_ours["peak_rss_mib"], many_official["peak_rss_mib"], at_most=1536
            ),
        ]


if __name__ == "__main__":
    main()
