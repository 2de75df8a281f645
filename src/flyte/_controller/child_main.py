"""What a process of attempts does: import the task, run it, send back what it returns or raises."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
import weakref
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from typing import Any

from flyteidl2.task.common_pb2 import Inputs

from flyte._context import ActionScope, enter_scope
from flyte._controller.calls import Attempt
from flyte._controller.child_controller import Channel, ChildController
from flyte._controller.child_messages import Ended, Ready, Start
from flyte._controller.child_streams import SentStream, all_to, by_scope
from flyte._controller.child_tasks import TaskReference, import_module_of, load_task
from flyte._controller.contexts import action_folder, task_context
from flyte._controller.failures import failure_of
from flyte._controller.hooks import has_hooks, run_with_hooks
from flyte._controller.importing import importing_main
from flyte._controller.progress import TaskProgress
from flyte._forks.wire import receive
from flyte._logging import logger, stream_handlers, system_logger
from flyte.errors import StorageError
from flyte.models import GroupData
from flyte.report._files import write_report
from flyte.storage._settings import use_storage
from flyte.types import _codec as _codec  # what every attempt needs, loaded before processes are forked

RunAsync = Callable[[Coroutine[Any, Any, Any], Channel], Any]
"""Runs the coroutine of an attempt whose channel is given."""


def preload(module: str) -> None:
    """A module, as `TaskReference.module_as_text` tells of it, is imported."""
    with importing_main():
        import_module_of(module)


def main(descriptor: int) -> None:
    """Runs the one attempt that comes by a socket, and ends the process."""
    connection = socket.socket(fileno=descriptor)
    # A process that the task forks must not keep the engine from seeing that this one has ended.
    os.register_at_fork(after_in_child=connection.close)
    channel = Channel(connection)
    try:
        start: Start = channel.receive()
    except (EOFError, OSError):
        os._exit(0)
    streams = _install_streams(all_to(channel))
    threading.Thread(target=_listen, args=(channel,), name="flyte-engine", daemon=True).start()
    _attempt(start, channel, streams, lambda coroutine, _: asyncio.run(coroutine))
    # What runs beside the task, threads for example, has nothing to wait for.
    os._exit(0)


def serve(descriptor: int) -> None:
    """Runs attempts, each by a socket of its own that comes by this one, until the engine closes it."""
    control = socket.socket(fileno=descriptor)
    connections = weakref.WeakSet([control])

    def hang_up() -> None:
        for connection in list(connections):
            connection.close()

    # A process that a task forks must not keep the engine from seeing that this one has ended.
    os.register_at_fork(after_in_child=hang_up)
    streams = _install_streams(by_scope)
    loop = asyncio.new_event_loop()

    def run_on_loop(coroutine: Coroutine[Any, Any, Any], channel: Channel) -> Any:
        # The attempts of async tasks share one loop, as they would in one program.
        future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        channel.when_lost(future.cancel)
        return future.result()

    def listen() -> None:
        try:
            while True:
                _, descriptors = receive(control)
                connection = socket.socket(fileno=descriptors[0])
                connections.add(connection)
                attend = partial(_attend_in_turn, connection, streams, run_on_loop)
                threading.Thread(target=attend, name="flyte-task", daemon=True).start()
        except (EOFError, OSError):
            _end_group()

    threading.Thread(target=listen, name="flyte-engine", daemon=True).start()
    loop.run_forever()


def _attend_in_turn(connection: socket.socket, streams: list[SentStream], run_async: RunAsync) -> None:
    """The attempts that come by one connection, each after the one before is over."""
    starts: SimpleQueue[tuple[Start, Channel] | None] = SimpleQueue()

    def listen() -> None:
        channel = None
        reader = Channel(connection)
        try:
            while True:
                message = reader.receive()
                if isinstance(message, Start):
                    channel = Channel(connection)
                    starts.put((message, channel))
                elif channel is not None:
                    # What the attempt before no longer waits for is not among what this one has asked.
                    channel.hand_out(message)
        except (EOFError, OSError):
            if channel is not None:
                channel.lose()
            starts.put(None)

    threading.Thread(target=listen, name="flyte-engine", daemon=True).start()
    with connection:
        while (started := starts.get()) is not None:
            _attempt(*started, streams, run_async)


def _attempt(start: Start, channel: Channel, streams: list[SentStream], run_async: RunAsync) -> None:
    """One attempt, to the message that says how it ended."""
    sys.argv = start.argv
    use_storage(start.spec.storage)
    for each, level in zip((system_logger, logger), start.log_levels, strict=True):
        each.setLevel(level)
    try:
        ended = Ended(outputs=_run(start, channel, run_async))
    except BaseException as error:
        ended = Ended(failure=failure_of(error))
    for stream in streams:
        stream.finish(channel)
    channel.end(ended)


def _run(start: Start, channel: Channel, run_async: RunAsync) -> bytes:
    task = _load(start.task)
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
        return context.run(_body, task, start.inputs, lambda coroutine: run_async(coroutine, channel))
    finally:
        attempt.is_over = True
        if task.report and attempt.report.has_content():
            try:
                write_report(attempt.report, str(action_folder(start.spec, start.record)))
            except (OSError, StorageError) as error:
                # A report tells about the work; not having one must not undo it.
                system_logger.warning("the report of action %s was not written: %s", start.record.name, error)


def _body(task: Any, inputs: bytes, run_async: Callable[[Coroutine[Any, Any, Any]], Any]) -> bytes:
    kwargs = task.codec.decode_inputs(Inputs.FromString(inputs))
    if has_hooks(task):
        value = run_async(_inside(run_with_hooks(task, kwargs)))
    elif task.is_async:
        value = run_async(_inside(task.func(**kwargs)))
    else:
        value = task.func(**kwargs)
    outputs: bytes = task.codec.encode_outputs(value).SerializeToString(deterministic=True)
    return outputs


async def _inside(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return await coroutine


def _load(reference: TaskReference) -> Any:
    with importing_main():
        return load_task(reference)


def _install_streams(channel_of: Callable[[], Channel | None]) -> list[SentStream]:
    streams = [SentStream(name, getattr(sys, name), channel_of) for name in ("stdout", "stderr")]
    for handler in stream_handlers():
        # Made by a module that was imported before; what they write is the attempt's too.
        for stream in streams:
            if handler.stream is stream.terminal:
                handler.setStream(stream)
    sys.stdout, sys.stderr = streams
    return streams


def _listen(channel: Channel) -> None:
    """Hands out answers. When the engine is gone, so is the task, with all that it has started."""
    try:
        while True:
            channel.hand_out(channel.receive())
    except (EOFError, OSError):
        _end_group()


def _end_group() -> None:
    os.killpg(os.getpgrp(), signal.SIGKILL)
