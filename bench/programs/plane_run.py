"""`plane_run.py ENDPOINT TASK N`: one run of a task of `plane_tasks.py` on a control plane; prints figures as JSON.

`client_s` is from the call of `flyte.run` to the outputs in the client, `served_s` what the control plane says that the
run took from its creation to its end. With `--watch` the client follows every change of the run's actions meanwhile:
`late_ms` are the times between the end of an action as recorded and its arrival.
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

import flyte


def watch_ends(endpoint: str, run_name: str, late_ms: list[float], is_over: threading.Event) -> None:
    """Notes how late each end of an action of the run arrives at somebody who watches its root's children."""
    from flyteidl2.actions.actions_service_connect import ActionsServiceClient
    from flyteidl2.actions.actions_service_pb2 import WatchForUpdatesRequest
    from flyteidl2.common.identifier_pb2 import ActionIdentifier, RunIdentifier
    from flyteidl2.workflow.run_service_connect import RunServiceClient
    from flyteidl2.workflow.run_service_pb2 import WatchActionDetailsRequest

    async def watch() -> None:
        run = RunIdentifier(org="local", project="flytesnacks", domain="development", name=run_name)
        children = ActionsServiceClient(f"http://{endpoint}")
        details = RunServiceClient(f"http://{endpoint}")
        names: asyncio.Queue[str | None] = asyncio.Queue()

        async def arrivals() -> None:
            request = WatchForUpdatesRequest(parent_action_id=ActionIdentifier(run=run, name="a0"))
            async for message in children.watch_for_updates(request):
                if message.action_update.phase == 5:
                    arrived.setdefault(message.action_update.action_id.name, time.time())
            names.put_nowait(None)

        arrived: dict[str, float] = {}
        await arrivals()
        sampled = list(arrived.items())[:: max(1, len(arrived) // 300)]
        for name, at in sampled:
            request = WatchActionDetailsRequest(action_id=ActionIdentifier(run=run, name=name))
            async for message in details.watch_action_details(request):
                late_ms.append((at - message.details.status.end_time.ToMicroseconds() / 1e6) * 1e3)
                break

    asyncio.run(watch())
    is_over.set()


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
    is_over = threading.Event()
    if "--watch" in sys.argv:
        threading.Thread(target=watch_ends, args=(endpoint, run.name, late_ms, is_over)).start()
    run.wait(quiet=True)
    outputs = run.outputs().o0
    client_s = time.perf_counter() - began
    if "--watch" in sys.argv:
        is_over.wait()
    assert outputs == (int(count) if task.endswith("one") else sum(range(int(count)))), outputs
    details = run.details()
    status = details.pb2.action.status
    served_s = status.duration_ms / 1e3
    print(json.dumps({"client_s": client_s, "served_s": served_s, "late_ms": late_ms}))


if __name__ == "__main__":
    main()
