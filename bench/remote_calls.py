"""What a call of a task costs the process that makes it, under a control plane.

    python bench/remote_calls.py [CALLS]

One attempt calls a trivial task so many times at once; a control plane in another process answers each. Prints the
processor time of the caller for each call: encoding, file, request, stream, outputs and decoding.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from flyteidl2.actions.actions_service_pb2 import Action
from flyteidl2.task.common_pb2 import Inputs

from tests.controller.remote.conftest import attempt
from tests.controller.remote.peer import End, Listening, Peer
from tests.controller.remote.programs import double


def answered(action: Action, inputs: Inputs) -> End:
    """Twice the input."""
    return End(double.codec.encode_outputs(2 * inputs.literals[0].value.scalar.primitive.integer))


def serve(folder: str, addresses: Any) -> None:
    """A control plane until the process is ended."""
    server = Listening(Peer(Path(folder), answered))
    server.start()
    addresses.put(server.address)


async def measure(calls: int) -> tuple[float, float, float]:
    """Seconds of the first call, and of all others: on the clock, and of the processor."""
    began = time.perf_counter()
    await double(x=-1)
    first = time.perf_counter() - began
    wall, cpu = time.perf_counter(), time.process_time()
    doubled = await asyncio.gather(*(double(x=x) for x in range(calls)))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    assert doubled == [2 * x for x in range(calls)]
    return first, wall, cpu


def main() -> None:
    """Prints the figures."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    context = multiprocessing.get_context("spawn")
    addresses = context.Queue()
    with tempfile.TemporaryDirectory() as folder:
        process = context.Process(target=serve, args=(folder, addresses))
        process.start()
        try:
            server = Listening(Peer(Path(folder), answered))
            server.address = addresses.get(timeout=30)
            with attempt(server, Path(folder)):
                first, wall, cpu = asyncio.run(measure(calls))
        finally:
            process.kill()
            process.join()
    print(f"first call: {first * 1000:.0f} ms")
    print(f"{calls:,} calls at once: {calls / wall:,.0f} a second, {cpu / calls * 1e6:,.0f} us of the processor each")


if __name__ == "__main__":
    main()
