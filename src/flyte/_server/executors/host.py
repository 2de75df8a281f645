"""The process that attempts run below, apart from the server: they go on when that is killed, and meet the next one.

The server of a home folder starts it, and speaks with it by a socket in that folder. A host whose server is gone waits
for another one, and ends with all attempts when none has come for a while.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from flyteidl2.task.task_definition_pb2 import TaskSpec

from flyte._server.executors.host_socket import LOCK_FILE, listening
from flyte._server.executors.host_wire import VERSION, framed, order_of, packed_end, received
from flyte._server.executors.images import ImageMapping
from flyte._server.executors.local import ExecutorSettings, LocalExecutor
from flyte._server.executors.orders import AttemptKey, AttemptLostError, Capacity
from flyte._server.executors.stored_secrets import secrets_of

WAITS_S = 600.0
"""So long does a host whose server is gone wait for another one."""


@dataclass(slots=True, eq=False)
class _Attempt:
    """An attempt that was ordered, until its end is recorded.

    Attributes:
        end: The message that says how it ended.
    """

    task: asyncio.Task[dict[str, Any]] | None = None
    is_started: bool = False
    end: dict[str, Any] | None = None


@dataclass(slots=True)
class Host:
    """Runs attempts for one server after another. Lives on one event loop."""

    executor: LocalExecutor
    attempts: dict[AttemptKey, _Attempt] = field(default_factory=dict)
    specs: dict[bytes, TaskSpec] = field(default_factory=dict)
    server: asyncio.StreamWriter | None = None
    is_over: asyncio.Event = field(default_factory=asyncio.Event)
    ends_soon: asyncio.TimerHandle | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A server is there; whoever was before it is not any more."""
        if self.server is not None:
            self.server.close()
        if self.ends_soon is not None:
            self.ends_soon.cancel()
        self.server = writer
        capacity = self.executor.capacity
        self._tell(
            version=VERSION,
            pid=os.getpid(),
            capacity=[capacity.cpu_millis, capacity.memory_bytes, capacity.gpus],
            attempts=[list(key) for key in self.attempts],
            specs=list(self.specs),
        )
        with suppress(asyncio.IncompleteReadError, OSError):
            while True:
                self._hear(await received(reader))
        writer.close()
        if self.server is writer:
            self.server = None
            self.ends_soon = asyncio.get_running_loop().call_later(WAITS_S, self.is_over.set)

    async def close(self) -> None:
        """No attempt is left."""
        for attempt in self.attempts.values():
            if attempt.task is not None:
                attempt.task.cancel()
        await self.executor.close()

    def _hear(self, message: dict[str, Any]) -> None:
        kind = message["kind"]
        if kind == "release":
            self.specs.pop(message["digest"], None)
            self.executor.release(message["digest"])
            return
        if kind == "close":
            self.is_over.set()
            return
        if kind == "keep":
            wanted = {AttemptKey(*each) for each in message["attempts"]}
            for each in [key for key in self.attempts if key not in wanted]:
                self._forget(each)
            return
        key = AttemptKey(*message["key"])
        if kind == "run":
            self._run(key, message["order"])
        elif kind == "kill":
            self._kill(key)
        elif kind == "forget":
            self._forget(key)
        elif kind == "waiting":
            self.executor.set_waiting(key.run_name, key.action_name, is_waiting=message["is_waiting"])

    def _run(self, key: AttemptKey, order: dict[str, Any]) -> None:
        if order["spec"] is not None:
            self.specs[order["digest"]] = TaskSpec.FromString(order["spec"])
        attempt = self.attempts.get(key)
        if attempt is None:
            attempt = self.attempts[key] = _Attempt()
            # The spec may be let go of before the task begins.
            going = self._go_through(key, attempt, order, self.specs.get(order["digest"]))
            attempt.task = asyncio.get_running_loop().create_task(going)
            attempt.task.add_done_callback(partial(self._over, key, attempt))
            return
        # One that an earlier server has ordered.
        if attempt.is_started:
            self._tell(kind="started", key=list(key))
        if attempt.end is not None:
            self._tell(**attempt.end)

    async def _go_through(
        self, key: AttemptKey, attempt: _Attempt, packed: dict[str, Any], spec: TaskSpec | None
    ) -> dict[str, Any]:
        """The message that says how it ended, unless it was killed."""

        def started() -> None:
            attempt.is_started = True
            self._tell(kind="started", key=list(key))

        try:
            if spec is None:
                raise AttemptLostError("its host was not told its spec")
            end = await self.executor.run_attempt(order_of(packed, spec), started)
        except AttemptLostError as error:
            return {"kind": "lost", "key": list(key), "why": str(error)}
        except Exception as error:
            return {"kind": "lost", "key": list(key), "why": f"{type(error).__name__}: {error}"}
        return {"kind": "ended", "key": list(key), **packed_end(end)}

    def _over(self, key: AttemptKey, attempt: _Attempt, task: asyncio.Task[dict[str, Any]]) -> None:
        """The server is told; also of one that was killed before it had begun."""
        attempt.task = None
        attempt.end = {"kind": "killed", "key": list(key)} if task.cancelled() else task.result()
        self._tell(**attempt.end)

    def _kill(self, key: AttemptKey) -> None:
        attempt = self.attempts.get(key)
        if attempt is None:
            self._tell(kind="killed", key=list(key))
        elif attempt.task is not None:
            attempt.task.cancel()
        elif attempt.end is not None:
            self._tell(**attempt.end)

    def _forget(self, key: AttemptKey) -> None:
        attempt = self.attempts.pop(key, None)
        if attempt is not None and attempt.task is not None:
            attempt.task.cancel()

    def _tell(self, **message: Any) -> None:
        if self.server is not None and not self.server.is_closing():
            self.server.write(framed(message))


async def _main(home: Path, settings: dict[str, Any]) -> None:
    capacity = settings["capacity"]
    executor = LocalExecutor(
        ExecutorSettings(
            home=home,
            endpoint=settings["endpoint"],
            images=ImageMapping.parse(settings["images"]),
            secrets=secrets_of(home),
            extra_env=settings["extra_env"],
            capacity=None if capacity is None else Capacity(*capacity),
        )
    )
    host = Host(executor)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, host.is_over.set)
    with listening(home) as listener:
        server = await asyncio.start_unix_server(host.serve, sock=listener)
        # Whoever has started it reads this.
        print("ready", flush=True)
        host.ends_soon = loop.call_later(WAITS_S, host.is_over.set)
        warming = loop.create_task(_warm(executor))
        await host.is_over.wait()
        server.close()
        warming.cancel()
        await host.close()


async def _warm(executor: LocalExecutor) -> None:
    with suppress(Exception):
        # Attempts start one that is not there, and say why it cannot be.
        await executor.warm()


def main() -> None:
    """Runs a host; its settings come by standard input."""
    home = Path(sys.argv[1])
    settings = json.loads(sys.stdin.read())
    lock = os.open(home / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    # A host that is about to end still has it.
    fcntl.flock(lock, fcntl.LOCK_EX)
    asyncio.run(_main(home, settings))


if __name__ == "__main__":
    main()
