"""A process that is kept for many attempts, as a `ReusePolicy` says.

What it is told and tells, by one socket, in the form of `flyte._forks.wire`:

* `{"attempt": n, "arguments": [...], "log": path, "number": k}`: run an attempt, `arguments` being those of `a0`;
* `{"cancel": n}`: it is not wanted any more;
* back `{"ended": n, "exit": code}` when nothing of it runs any more, and its files are there;
* back `{"stuck": n}` where it is not wanted, and cannot be stopped but with its process.

Async tasks share one event loop, as they would in one program; each sync one has a thread. All share the working
directory and the variables of the process.
"""

from __future__ import annotations

import asyncio
import faulthandler
import json
import os
import socket
import sys
from collections.abc import Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import IO, Any
from weakref import WeakSet

from flyteidl2.task.common_pb2 import Inputs, Outputs

from flyte._authoring.task import TaskTemplate
from flyte._context import ActionScope, current_scope, enter_scope
from flyte._controller.hooks import has_hooks, run_with_hooks
from flyte._controller.limits import check_inline_size
from flyte._controller.log_writing import LogWriter
from flyte._controller.remote.attempts import RemoteAttempt
from flyte._forks.wire import LENGTH_BYTES, framed, length_of
from flyte._logging import stream_handlers
from flyte._worker.attempt import FAILED_TO_LOAD, attempt_context, failure_in, save_report
from flyte._worker.code import load_task
from flyte._worker.controllers import controller_of, place_of
from flyte._worker.files import clear_outcome, load_inputs, write_error, write_outputs_meanwhile
from flyte._worker.logs import set_up_logs
from flyte._worker.program import request_of
from flyte._worker.request import AttemptRequest, refuse_variables
from flyte.models import CodeBundle
from flyte.report import Report
from flyte.storage._checkpoints import reach_remote_checkpoints

CANCELLED = -1
"""What is told as the exit code of an attempt that was stopped, and left no files."""

_MOST_THREADS = 1000
_LEFTOVERS_S = 1.0


@dataclass(eq=False, slots=True, weakref_slot=True, kw_only=True)
class _Attempt(RemoteAttempt):
    """What `ActionScope.attempt` holds here."""

    log: LogWriter
    in_thread: bool = False
    loop_tasks: WeakSet[asyncio.Task[Any]] = field(default_factory=WeakSet)
    lock: Lock = field(default_factory=Lock)

    def inside_trace(self, name: str) -> _Attempt:
        """This attempt as the code of a trace sees it; what that prints is the attempt's."""
        return _Attempt(
            task=self.task,
            report=self.report,
            place=self.place,
            trace_of=name,
            log=self.log,
            loop_tasks=self.loop_tasks,
            lock=self.lock,
        )


def serve(connection: socket.socket) -> None:
    """Runs attempts until the other side closes the connection."""
    with suppress(Exception):  # There may be no streams.
        faulthandler.enable()
    refuse_variables()
    reach_remote_checkpoints()
    _install_streams()
    set_up_logs(_names)
    asyncio.run(_Worker().serve(connection))


class _Worker:
    """The attempts of this process. Lives on its event loop."""

    def __init__(self) -> None:
        self._running: dict[int, asyncio.Task[int]] = {}
        self._attempts: dict[int, _Attempt] = {}
        self._loaded: dict[tuple[Any, ...], tuple[TaskTemplate[Any, Any, Any], CodeBundle | None]] = {}
        self._threads = ThreadPoolExecutor(_MOST_THREADS, thread_name_prefix="flyte-task")

    async def serve(self, connection: socket.socket) -> None:
        """Runs attempts until the other side closes the connection."""
        asyncio.get_running_loop().set_task_factory(_noted_task)  # type: ignore[arg-type]
        reader, self._writer = await asyncio.open_connection(sock=connection)
        with suppress(asyncio.IncompleteReadError, OSError):
            while True:
                message = json.loads(await reader.readexactly(length_of(await reader.readexactly(LENGTH_BYTES))))
                if "cancel" in message:
                    self._cancel(message["cancel"])
                else:
                    number = message["attempt"]
                    running = self._running[number] = asyncio.ensure_future(self._attend(message))
                    running.add_done_callback(partial(self._ended, number))
        # Nobody waits for what still runs.
        sys.stdout.flush()
        os._exit(0)

    def _cancel(self, number: int) -> None:
        running, attempt = self._running.get(number), self._attempts.get(number)
        if running is None:
            return
        if attempt is not None and attempt.in_thread:
            self._tell({"stuck": number})
        else:
            running.cancel()

    def _ended(self, number: int, running: asyncio.Task[int]) -> None:
        """The other side is told; also of one that was cancelled before it had begun."""
        del self._running[number]
        self._attempts.pop(number, None)
        self._tell({"ended": number, "exit": CANCELLED if running.cancelled() else running.result()})

    async def _attend(self, message: dict[str, Any]) -> int:
        log = LogWriter(Path(message["log"]))
        try:
            return await self._run(message["attempt"], message, log)
        except asyncio.CancelledError:
            return CANCELLED
        except BaseException as error:
            # The outcome could not be written: that nobody finds one says so, and the log why.
            with suppress(OSError):
                log.write(failure_in(error).traceback or f"{error}\n")
            return FAILED_TO_LOAD
        finally:
            with suppress(OSError):
                log.close()

    def _tell(self, message: dict[str, Any]) -> None:
        self._writer.write(b"".join(framed(message)))

    async def _run(self, number: int, message: dict[str, Any], log: LogWriter) -> int:
        """One attempt; returns what `a0` would exit with."""
        request = replace(request_of(message["arguments"]), attempt_number=message["number"])
        clear_outcome(request.outputs_path)
        try:
            inputs = load_inputs(request.inputs)
            task, request = self._load(request)
        except BaseException as error:
            failure = failure_in(error)
            log.write(failure.traceback or "")
            write_error(request.outputs_path, failure)
            return FAILED_TO_LOAD
        attempt = self._attempts[number] = _Attempt(
            task=task, report=Report(request.action.name), place=place_of(request), log=log
        )
        context = copy_context()
        context.run(enter_scope, _scope(request, inputs, attempt))
        body = asyncio.get_running_loop().create_task(self._body(task, inputs, attempt), context=context)
        try:
            outputs = await body
            if isinstance(outputs, SystemExit):
                return _failed(request, attempt, outputs)
        except asyncio.CancelledError:
            if body.cancelled() and not _is_cancelled():
                # The task's own doing: it has cancelled itself.
                return _failed(request, attempt, asyncio.CancelledError("the task has cancelled itself"))
            raise
        except BaseException as error:
            return _failed(request, attempt, error)
        finally:
            attempt.is_over = True
            await _end_leftovers(attempt)
            await controller_of(request).end(attempt)
        save_report(attempt.report, task, request)
        await write_outputs_meanwhile(request.outputs_path, outputs)
        return 0

    def _load(self, request: AttemptRequest) -> tuple[TaskTemplate[Any, Any, Any], AttemptRequest]:
        code = request.code
        named = None if code is None else (code.tgz, code.pkl, code.destination)
        key = (request.version, named, request.resolver, request.resolver_args)
        if (found := self._loaded.get(key)) is None:
            task, loaded = load_task(request)
            found = self._loaded[key] = task, loaded.code
        return found[0], replace(request, code=found[1])

    async def _body(self, task: TaskTemplate[Any, Any, Any], inputs: Inputs, attempt: _Attempt) -> Outputs | SystemExit:
        """What the task returns; `SystemExit` is returned too, for raised it would end the loop."""
        try:
            return await self._outputs(task, inputs, attempt)
        except SystemExit as error:
            return error

    async def _outputs(self, task: TaskTemplate[Any, Any, Any], inputs: Inputs, attempt: _Attempt) -> Outputs:
        kwargs = task.codec.decode_inputs(inputs)
        if has_hooks(task):
            value = await run_with_hooks(task, kwargs)
        elif task.is_async:
            value = await task.func(**kwargs)  # type: ignore[attr-defined]
        else:
            attempt.in_thread = True
            function = partial(copy_context().run, task.func, **kwargs)  # type: ignore[attr-defined]
            value = await asyncio.get_running_loop().run_in_executor(self._threads, function)
        outputs: Outputs = task.codec.encode_outputs(value)
        check_inline_size(task, "outputs", outputs.ByteSize())
        return outputs


def _scope(request: AttemptRequest, inputs: Inputs, attempt: _Attempt) -> ActionScope:
    return ActionScope(
        action_name=request.action.name,
        controller=controller_of(request),
        make_context=lambda scope: attempt_context(request, scope, attempt.report),
        custom_context={pair.key: pair.value for pair in inputs.context},
        attempt=attempt,
    )


def _failed(request: AttemptRequest, attempt: _Attempt, error: BaseException) -> int:
    failure = failure_in(error)
    attempt.log.write(failure.traceback or "")
    save_report(attempt.report, attempt.task, request)
    write_error(request.outputs_path, failure)
    return 0


def _is_cancelled() -> bool:
    current = asyncio.current_task()
    return current is not None and bool(current.cancelling())


async def _end_leftovers(attempt: _Attempt) -> None:
    """What the task left on the loop is cancelled, as it is where a loop is an attempt's own."""
    leftovers = [each for each in attempt.loop_tasks if not each.done()]
    for each in leftovers:
        each.cancel()
    if leftovers:
        await asyncio.wait(leftovers, timeout=_LEFTOVERS_S)


def _noted_task(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **settings: Any) -> Any:
    """A task of the loop, noted with the attempt whose code makes it."""
    made: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **settings)
    scope = current_scope()
    if scope is not None and isinstance(scope.attempt, _Attempt):
        scope.attempt.loop_tasks.add(made)
    return made


def _names() -> tuple[str, str]:
    """The run and the action whose code runs here."""
    scope = current_scope()
    if scope is None or not isinstance(scope.attempt, _Attempt):
        return "", ""
    action = scope.attempt.place.action
    return str(action.run_name), action.name


class _ScopedStream:
    """Stands in for `sys.stdout` or `sys.stderr`: what an attempt writes is in its log.

    What is of no attempt, as of threads that user code starts, goes where the process writes.
    """

    def __init__(self, terminal: IO[str]) -> None:
        self.terminal = terminal

    def write(self, text: str) -> int:
        """Write `text`; returns its length."""
        scope = current_scope()
        attempt = None if scope is None else scope.attempt
        if not isinstance(attempt, _Attempt) or attempt.is_over:
            return self.terminal.write(text)
        # A disk that is full must not stop the task.
        with attempt.lock, suppress(OSError):
            attempt.log.write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of the texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Whole lines are in the log already."""
        with suppress(OSError, ValueError):
            self.terminal.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.terminal, name)


def _install_streams() -> None:
    for name in ("stdout", "stderr"):
        terminal = getattr(sys, name)
        if hasattr(terminal, "reconfigure"):
            terminal.reconfigure(line_buffering=True)
        stream: Any = _ScopedStream(terminal)
        for handler in stream_handlers():
            # Made by a module that was imported before; what they write is the attempt's too.
            if handler.stream is terminal:
                handler.setStream(stream)
        setattr(sys, name, stream)
