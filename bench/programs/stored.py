"""`stored.py ACTIONS RUNS`: a run `wide` of so many actions, then so many runs; prints what an action takes."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from one_line import double
from wide import fan_out

import flyte


def store_bytes() -> int:
    """Bytes of the pages in use in the store, tables and indexes, whether checkpointed yet or not."""
    with closing(sqlite3.connect(Path(os.environ["FLYTE_HOME"]) / "store.db")) as store:
        (size,) = store.execute(
            "SELECT (page_count - freelist_count) * page_size"
            " FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
        ).fetchone()
    return int(size)


async def make_runs(count: int) -> None:
    """Run a one-line task so often, a few at a time."""
    for first in range(0, count, 50):
        await asyncio.gather(*(flyte.run.aio(double, x) for x in range(first, min(first + 50, count))))


if __name__ == "__main__":
    actions, runs = int(sys.argv[1]), int(sys.argv[2])
    flyte.run(double, 1)
    before = store_bytes()
    flyte.with_runcontext(name="wide").run(fan_out, actions)
    print(json.dumps({"bytes": (store_bytes() - before) / actions}))
    asyncio.run(make_runs(runs))
