"""Runs scenarios of modules against a control plane, and prints a line of JSON for each.

Arguments: a JSON object with `init` (arguments of `flyte.init`), `modules`, `only` (names; none for all) and `at_once`.
"""

import asyncio
import json
import sys
import time
import traceback
from importlib import import_module
from typing import Any

from client_scenarios import SCENARIOS, Scenario

import flyte

LIMIT_S = 90.0


async def carry_out(name: str, function: Scenario, seats: asyncio.Semaphore) -> None:
    """The scenario has run, and its line is printed."""
    async with seats:
        began, why = time.perf_counter(), ""
        try:
            async with asyncio.timeout(LIMIT_S):
                await function()
        except BaseException as error:
            where = traceback.extract_tb(error.__traceback__)
            line = next((each.lineno for each in reversed(where) if "client_" in each.filename), 0)
            why = f"{type(error).__name__} (line {line}): {error}"
            traceback.print_exc()
        seconds = round(time.perf_counter() - began, 2)
        print(json.dumps({"scenario": name, "passed": not why, "seconds": seconds, "why": why}), flush=True)


async def main(request: dict[str, Any]) -> None:
    """All scenarios have run."""
    await flyte.init.aio(project="flytesnacks", domain="development", **request["init"])
    seats = asyncio.Semaphore(request["at_once"])
    wanted = {name: each for name, each in SCENARIOS.items() if not request["only"] or name in request["only"]}
    await asyncio.gather(*(carry_out(name, each, seats) for name, each in wanted.items()))


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    for module in asked["modules"]:
        import_module(module)
    asyncio.run(main(asked))
