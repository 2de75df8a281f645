"""What the process of one attempt does: import the task, run it, send back what it returns or raises."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterable
from contextvars import copy_context
from typing import IO, Any

from flyteidl2.task.common_pb2 import Inputs

from flyte._context import ActionScope, enter_scope
from flyte._controller.calls import Attempt
from flyte._controller.child_controller import Channel, ChildController
from flyte._controller.child_messages import Ended, Printed, Ready, Start
from flyte._controller.child_tasks import load_task
from flyte._controller.contexts import action_folder, task_context
from flyte._controller.failures import failure_of
from flyte._controller.importing import importing_main
from flyte._controller.progress import TaskProgress
from flyte._logging import logger, system_logger
from flyte.models import GroupData
from flyte.report._files import write_report
from flyte.storage._settings import use_storage


def main(file_descriptor: int) -> None:
    """Runs one attempt, and ends the process."""
    connection = socket.socket(fileno=file_descriptor)
    # A process that the task forks must not keep the engine from seeing that this one has ended.
    os.register_at_fork(after_in_child=connection.close)
    channel = Channel(connection)
    start: Start = channel.receive()
    sys.argv = start.argv
    use_storage(start.spec.storage)
    for each, level in zip((system_logger, logger), start.log_levels, strict=True):
        each.setLevel(level)
    threading.Thread(target=_listen, args=(channel,), name="flyte-engine", daemon=True).start()
    streams = [_SentStream(name, getattr(sys, name), channel) for name in ("stdout", "stderr")]
    sys.stdout, sys.stderr = streams
    try:
        ended = Ended(outputs=_run(start, channel))
    except BaseException as error:
        ended = Ended(failure=failure_of(error))
    for stream in streams:
        stream.flush()
    channel.send(ended)
    # What runs beside the task, threads for example, has nothing to wait for.
    os._exit(0)


def _run(start: Start, channel: Channel) -> bytes:
    with importing_main():
        task = load_task(start.task)
    group = GroupData(start.group) if start.group else None
    progress = TaskProgress(task.name)
    attempt = Attempt(task, start.record, progress, group, None, may_replay=False, attempt_no=start.record.attempt_no)
    scope = ActionScope(
        action_name=start.record.name,
        controller=ChildController(channel),
        make_context=lambda scope: task_context(start.spec, scope, scope.attempt),
        custom_context=start.custom_context,
        attempt=attempt,
    )
    channel.send(Ready())
    context = copy_context()
    context.run(enter_scope, scope)
    try:
        return context.run(_body, task, start.inputs)
    finally:
        attempt.is_over = True
        if task.report and attempt.report.has_content():
            try:
                write_report(attempt.report, str(action_folder(start.spec, start.record)))
            except (OSError, NotImplementedError) as error:
                # A report tells about the work; not having one must not undo it.
                system_logger.warning("the report of action %s was not written: %s", start.record.name, error)


def _body(task: Any, inputs: bytes) -> bytes:
    kwargs = task.codec.decode_inputs(Inputs.FromString(inputs))
    outputs: bytes = task.codec.encode_outputs(task.func(**kwargs)).SerializeToString(deterministic=True)
    return outputs


def _listen(channel: Channel) -> None:
    """Hands out answers. When the engine is gone, so is the task, with all that it has started."""
    try:
        while True:
            channel.hand_out(channel.receive())
    except (EOFError, OSError):
        os.killpg(os.getpgrp(), signal.SIGKILL)


class _SentStream:
    """Stands in for `sys.stdout` or `sys.stderr`, and sends what is written to it, a line or more at a time."""

    def __init__(self, name: str, terminal: IO[str], channel: Channel) -> None:
        self._name = name
        self._terminal = terminal
        self._channel = channel
        self._pid = os.getpid()
        self._parts: list[str] = []
        self._lock = threading.RLock()

    def write(self, text: str) -> int:
        """Write `text`; returns its length."""
        if os.getpid() != self._pid:
            return self._terminal.write(text)
        with self._lock:
            self._parts.append(text)
            if "\n" in text:
                self.flush()
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of the texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """What was written is on its way."""
        if os.getpid() != self._pid:
            self._terminal.flush()
            return
        with self._lock:
            parts, self._parts = self._parts, []
            if parts:
                self._channel.send(Printed(self._name, "".join(parts)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._terminal, name)
