"""What a trace costs beside a trivial task: all at once, and in a row with a commit for each. Ours only."""

from __future__ import annotations

import json
from statistics import median

from _harness import Figure, bench

AT_ONCE = 10_000
IN_A_ROW = 1_000


def main() -> None:
    with bench("tracing", __doc__ or "", runs=7) as session:
        sizes = str(AT_ONCE), str(IN_A_ROW)
        rounds = [json.loads(session.output_of(session.ours.python, "traced.py", *sizes)) for _ in range(session.runs)]
        samples = {quantity: [each[quantity] for each in rounds] for quantity in rounds[0]}
        session.figures += [
            Figure("a trivial task, of 10,000 at once", "µs", samples["task_us"]),
            Figure("a trace, of 10,000 at once", "µs", samples["trace_us"], at_most=median(samples["task_us"])),
            Figure("a trivial task, of 1,000 in a row", "µs", samples["task_in_a_row_us"]),
            *(
                # Each waits for a commit of its own, and commits alone differ by a tenth.
                Figure(what, "µs", samples[quantity], at_most=1.1 * median(samples["task_in_a_row_us"]))
                for what, quantity in (
                    ("a trace, of 1,000 in a row", "trace_in_a_row_us"),
                    ("a sync trace called in an async task, of 1,000 in a row", "sync_trace_in_a_row_us"),
                )
            ),
        ]


if __name__ == "__main__":
    main()
