"""`field_dbos.py SHAPE N`: one workflow awaits N trivial steps, at once or one after the other; DBOS on SQLite."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from dbos import DBOS
from field_clock import measure


@DBOS.step()
async def leaf(x: int) -> int:
    return x


@DBOS.step()
async def successor(x: int) -> int:
    return x + 1


@DBOS.workflow()
async def fan_out(width: int) -> float:
    start = time.perf_counter()
    results = await asyncio.gather(*(leaf(i) for i in range(width)))
    seconds = time.perf_counter() - start
    assert results == list(range(width))
    return seconds


@DBOS.workflow()
async def chain(length: int) -> float:
    start = time.perf_counter()
    x = 0
    for _ in range(length):
        x = await successor(x)
    seconds = time.perf_counter() - start
    assert x == length
    return seconds


if __name__ == "__main__":
    # In the folder that HOME names, on the disk that the others write to.
    DBOS(config={"name": "field", "system_database_url": f"sqlite:///{Path.home() / 'dbos.sqlite'}"})
    DBOS.launch()
    measure({"fan-out": lambda n: asyncio.run(fan_out(n)), "chain": lambda n: asyncio.run(chain(n))})
    DBOS.destroy()
