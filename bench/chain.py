"""What one action costs when each waits for the one before it, beside one commit of SQLite on the same disk."""

from __future__ import annotations

import json
from statistics import median

from _harness import Bench, Figure, Interpreter, bench, commit_us


def chain(session: Bench, interpreter: Interpreter, length: int) -> dict[str, float]:
    """What `programs/deep.py` prints, and a commit measured right after it."""
    printed: dict[str, float] = json.loads(session.output_of(interpreter.python, "deep.py", str(length)))
    return printed | {"commit_us": commit_us(session.folder)}


def main() -> None:
    with bench("chain", __doc__ or "", runs=5) as session:
        ours, official = session.in_turn(lambda interpreter: chain(session, interpreter, 1_000))
        commits = [*ours["commit_us"], *official["commit_us"]]
        session.figures += [
            Figure("one SQLite commit, `synchronous=FULL`", "µs", commits),
            Figure(
                "chain of 1,000, per action",
                "µs",
                ours["chain_us"],
                official["chain_us"],
                at_most=1.5 * median(commits) + 200,
            ),
        ]


if __name__ == "__main__":
    main()
