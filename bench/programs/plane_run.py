"""`plane_run.py ENDPOINT TASK N`: one run of a task of `plane_tasks.py` on a control plane; prints figures as JSON.

`client_s` is from the call of `flyte.run` to the outputs in the client, `served_s` what the control plane says that the
run took from its creation to its end. With `--watch` a second run goes on meanwhile that calls one task after another,
and the client watches these calls: `late_ms` are the times between the end of each, as recorded, and its arrival.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import plane_tasks
from flyteidl2.common.phase_pb2 import ACTION_PHASE_SUCCEEDED

import flyte

CHAIN = 10_000


def watch_ends(endpoint: str, run_name: str, late_ms: list[float]) -> None:
    """Notes how late each end of a child of the run's root arrives at somebody who watches them."""
    from flyteidl2.actions.actions_service_connect import ActionsServiceClient
    from flyteidl2.actions.actions_service_pb2 import WatchForUpdatesRequest
    from flyteidl2.common.identifier_pb2 import ActionIdentifier, RunIdentifier
    from flyteidl2.workflow.run_service_connect import RunServiceClient
    from flyteidl2.workflow.run_service_pb2 import GetActionDetailsRequest

    async def watch() -> None:
        run = RunIdentifier(org="local", project="flytesnacks", domain="development", name=run_name)
        arrived: dict[str, float] = {}
        request = WatchForUpdatesRequest(parent_action_id=ActionIdentifier(run=run, name="a0"))
        async for message in ActionsServiceClient(f"http://{endpoint}").watch_for_updates(request):
            if message.action_update.phase == ACTION_PHASE_SUCCEEDED:
                arrived.setdefault(message.action_update.action_id.name, time.time())
        client = RunServiceClient(f"http://{endpoint}")
        for name, at in arrived.items():
            answer = await client.get_action_details(
                GetActionDetailsRequest(action_id=ActionIdentifier(run=run, name=name))
            )
            late_ms.append((at - answer.details.status.end_time.ToMicroseconds() / 1e6) * 1e3)

    asyncio.run(watch())


def main() -> None:
    endpoint, task, count = sys.argv[1:4]
    flyte.init(
        endpoint=endpoint,
        insecure=True,
        project="flytesnacks",
        domain="development",
        root_dir=Path(__file__).parent,
    )
    began = time.perf_counter()
    run: Any = flyte.with_runcontext(mode="remote").run(getattr(plane_tasks, task), int(count))
    late_ms: list[float] = []
    if "--watch" in sys.argv:
        beside = flyte.with_runcontext(mode="remote").run(plane_tasks.kept_chain, CHAIN)
        watching = threading.Thread(target=watch_ends, args=(endpoint, beside.name, late_ms))
        watching.start()
    run.wait(quiet=True)
    outputs = run.outputs().o0
    client_s = time.perf_counter() - began
    if "--watch" in sys.argv:
        beside.abort()
        watching.join()
    assert outputs == (int(count) if task.endswith("one") else sum(range(int(count)))), outputs
    details = run.details()
    status = details.pb2.action.status
    served_s = status.duration_ms / 1e3
    print(json.dumps({"client_s": client_s, "served_s": served_s, "late_ms": late_ms}))


if __name__ == "__main__":
    main()
