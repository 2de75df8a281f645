"""A client's way through all kinds of requests, in processes that are killed at one commit after the other.

`python -m tests.server.scheduler.killed FOLDER`: in `FOLDER/<n>` one is killed when changes are committed for the n-th
time, and nobody has been told; the last one is not. `acknowledged` has what its client was told until then.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from flyteidl2.common.phase_pb2 import ACTION_PHASE_SUCCEEDED

from flyte import _faults
from flyte._server.executors.orders import AttemptEnd
from flyte._server.refusals import AlreadyThereError, NotNowError, RunAbortedError
from flyte.models import ActionPhase
from tests.server.scheduler.scripted import SUCCESS, Plane, eventually, fails, plane
from tests.server.scheduler.test_scheduler import condition, number, retried

ACKNOWLEDGED = "acknowledged"

REFUSED = (AlreadyThereError, NotNowError, RunAbortedError)
"""What a client hears that asks for what was carried out before."""


async def requests(p: Plane, acknowledged: Callable[[str], object]) -> None:
    """All that a client asks for, and what becomes of it; what was carried out before is asked for again."""
    with suppress(AlreadyThereError):
        await p.run()
    acknowledged("r is made")
    for name in ("c1", "c2", "c3"):
        with suppress(RunAbortedError):
            await p.call(name, retried())
        acknowledged(f"{name} is called")
    with suppress(RunAbortedError):
        await condition(p)
    acknowledged("ask is asked")
    await ended(p, "c1", [SUCCESS])
    acknowledged("c1 has succeeded")
    await ended(p, "c2", [fails(), SUCCESS])
    acknowledged("c2 has succeeded")
    with suppress(*REFUSED):
        await p.scheduler.signal("r", "ask", number(7))
    acknowledged("ask is answered")
    await p.scheduler.abort_action("r", "c3", "no need")
    acknowledged("c3 is aborted")
    with suppress(AlreadyThereError):
        await p.run(name="other")
    acknowledged("other is made")
    await p.scheduler.abort_run("other", "no need")
    acknowledged("other is aborted")
    await ended(p, "a0", [SUCCESS])
    acknowledged("r has succeeded")


async def ended(p: Plane, name: str, ends: list[AttemptEnd]) -> None:
    """The attempts of the action end so, one after the other, and its parent is told that it has succeeded."""
    seen: set[int] = set()
    while not p.phase(name).is_terminal:
        for each in p.executor.attempts:
            if each.name == name and each.order.action.run_name == "r" and each.order.attempt_no not in seen:
                seen.add(each.order.attempt_no)
                each.end(ends.pop(0) if len(ends) > 1 else ends[0])
        await asyncio.sleep(0.002)
    assert p.phase(name) is ActionPhase.SUCCEEDED
    if name == "a0":
        await eventually(lambda: True if "r" not in p.scheduler._runs else None)
        await p.scheduler._commits.caught_up()
        return
    with suppress(RunAbortedError):
        while True:
            told = await p.replay()
            if not told or told[name].phase == ACTION_PHASE_SUCCEEDED:
                return
            await asyncio.sleep(0.002)


async def _go_through(home: Path) -> None:
    with open(home / ACKNOWLEDGED, "a", buffering=1) as file:
        async with plane(home) as p:
            await requests(p, lambda what: file.write(f"{what}\n"))


def main() -> None:
    """Kills one process after the other, until one has come through."""
    folder = Path(sys.argv[1])
    for nth in range(1, 100):
        home = folder / str(nth)
        home.mkdir(parents=True)
        pid = os.fork()
        if not pid:
            _faults._fault = _faults.Fault(f"server.committed:{nth}")
            asyncio.run(_go_through(home))
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status == 0:
            return
        if status != -9:
            raise SystemExit(status)
    raise SystemExit("none came through")


if __name__ == "__main__":
    main()
