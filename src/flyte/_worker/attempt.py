"""One attempt from its request to its files: the task is found, run, and what it returns or raises is written."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Coroutine
from contextlib import contextmanager, suppress
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Iterator

from flyteidl2.task.common_pb2 import Inputs, Outputs

from flyte._authoring.task import TaskTemplate
from flyte._context import ActionScope, enter_scope
from flyte._controller.failures import failure_of, user_traceback
from flyte._controller.hooks import has_hooks, run_with_hooks
from flyte._engine.attempts import Failure
from flyte._logging import system_logger
from flyte._worker.code import load_task
from flyte._worker.files import load_inputs, write_error, write_outputs
from flyte._worker.no_controller import NoController
from flyte._worker.request import AttemptRequest
from flyte.models import PathRewrite, RawDataPath, TaskContext
from flyte.report import Report
from flyte.report._files import write_report
from flyte.storage._checkpoints import reach_remote_checkpoints

GRACE_VARIABLE = "FLYTE_TERMINATION_GRACE_S"
DEFAULT_GRACE_S = 10.0

FAILED_TO_LOAD = 1
"""Exit code where the task could not be found or its inputs not be read: nothing of it has run."""

TERMINATED = 128 + signal.SIGTERM


class AttemptTerminated(BaseException):
    """Raised in a sync task when its process is told to end; the task may save its checkpoint on the way out."""


@dataclass(slots=True)
class _RunningAttempt:
    """What `ActionScope.attempt` holds here."""

    task: TaskTemplate[Any, Any, Any]
    report: Report
    is_over: bool = False


def run_attempt(request: AttemptRequest) -> int:
    """Runs the attempt; returns the exit code of its process.

    Its outcome is in a file below `outputs_path`: `outputs.pb`, or `error.pb` where it failed. The exit code is 0 in
    both cases. It is 1 when the task could not be found or its inputs not be read, and 143 when the process was told
    to end; `error.pb` says why then too.

    Raises:
        StorageError: no file could be written, so nobody learns how it ended but by this.
    """
    reach_remote_checkpoints()
    with _Termination() as termination:
        try:
            inputs = load_inputs(request.inputs)
            task, request = load_task(request)
        except (Exception, AttemptTerminated) as error:
            _say(error)
            write_error(request.outputs_path, _failure(error))
            return TERMINATED if termination.was_asked else FAILED_TO_LOAD
        report = Report(request.action.name)
        try:
            outputs = _run(request, task, inputs, report, termination)
        except BaseException as error:
            _say(error)
            _save_report(report, task, request)
            write_error(request.outputs_path, _terminated(task) if termination.was_asked else _failure(error))
            return TERMINATED if termination.was_asked else 0
        _save_report(report, task, request)
        # What is complete is complete, even where the process was told to end meanwhile.
        write_outputs(request.outputs_path, outputs)
        return 0


def _run(
    request: AttemptRequest,
    task: TaskTemplate[Any, Any, Any],
    inputs: Inputs,
    report: Report,
    termination: _Termination,
) -> Outputs:
    custom_context = {pair.key: pair.value for pair in inputs.context}
    attempt = _RunningAttempt(task, report)
    scope = ActionScope(
        action_name=request.action.name,
        controller=NoController(os.environ.get("_U_EP_OVERRIDE")),
        make_context=lambda scope: _context(request, scope, report),
        custom_context=custom_context,
        attempt=attempt,
    )
    context = copy_context()
    context.run(enter_scope, scope)
    try:
        return context.run(_body, task, inputs, termination)
    finally:
        attempt.is_over = True


def _body(task: Any, inputs: Inputs, termination: _Termination) -> Outputs:
    kwargs = task.codec.decode_inputs(inputs)
    if has_hooks(task):
        value = asyncio.run(termination.cancels(run_with_hooks(task, kwargs)))
    elif task.is_async:
        value = asyncio.run(termination.cancels(task.func(**kwargs)))
    else:
        with termination.raises():
            value = task.func(**kwargs)
    outputs: Outputs = task.codec.encode_outputs(value)
    return outputs


def _context(request: AttemptRequest, scope: ActionScope, report: Report) -> TaskContext:
    from flyte._authoring.image_cache import ImageCache

    rewrite = os.environ.get("_F_PATH_REWRITE")
    path_rewrite = PathRewrite.from_str(rewrite) if rewrite else None
    if path_rewrite is not None and not Path(path_rewrite.new_prefix).exists():
        path_rewrite = None
    return TaskContext(
        action=request.action,
        version=request.version,
        raw_data_path=RawDataPath(path=request.raw_data_path, path_rewrite=path_rewrite),
        input_path=request.inputs,
        output_path=request.outputs_path,
        run_base_dir=request.run_base_dir,
        report=report,
        group_data=scope.group,
        checkpoint_paths=request.checkpoints,
        code_bundle=request.code,
        compiled_image_cache=ImageCache.from_transport(request.image_cache) if request.image_cache else None,
        mode="remote",
        interactive_mode=request.is_interactive,
        custom_context=dict(scope.custom_context),
        run_start_time=request.start_time,
    )


def _save_report(report: Report, task: Any, request: AttemptRequest) -> None:
    if task.report and report.has_content():
        try:
            write_report(report, request.outputs_path)
        except Exception as error:
            # A report tells about the work; not having one must not undo it.
            system_logger.warning("the report of action %s was not written: %s", request.action.name, error)


def _failure(error: BaseException) -> Failure:
    if isinstance(error, SystemExit):
        message = f"the task called sys.exit({error.code!r}), which ends no attempt: return, or raise an error."
        return Failure("SystemExit", "user", message, worker="user")
    return failure_of(error)


def _terminated(task: TaskTemplate[Any, Any, Any]) -> Failure:
    message = f"the process of task {task.name!r} was told to end (SIGTERM) before the task returned."
    return Failure("Interrupted", "system", message)


def _say(error: BaseException) -> None:
    """The traceback is in the log of the attempt; the file has the message alone."""
    print(user_traceback(error), file=sys.stderr, end="", flush=True)


class _Termination:
    """Lets the task end by itself when its process is told to, and ends the process when that takes too long.

    Attributes:
        was_asked: The process was told to end.
    """

    def __init__(self) -> None:
        self.was_asked = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._may_raise = False
        self._before: Any = None

    def __enter__(self) -> _Termination:
        self._grace_s = _grace_s()
        # Elsewhere than in a main thread no signal can be heard; the process then just ends.
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    async def cancels(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """What the coroutine returns; it is cancelled when the process is told to end."""
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        if self.was_asked and self._task is not None:
            self._task.cancel()
        try:
            return await coroutine
        finally:
            self._loop = self._task = None

    @contextmanager
    def raises(self) -> Iterator[None]:
        """Within the block `AttemptTerminated` is raised when the process is told to end."""
        self._may_raise = True
        try:
            if self.was_asked:
                raise AttemptTerminated
            yield
        finally:
            self._may_raise = False

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.was_asked:
            return
        self.was_asked = True
        threading.Thread(target=self._end_late, name="flyte-grace", daemon=True).start()
        if self._loop is not None and self._task is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)
        elif self._may_raise:
            raise AttemptTerminated

    def _end_late(self) -> None:
        threading.Event().wait(self._grace_s)
        print(f"the task had not ended {self._grace_s:g} s after SIGTERM", file=sys.stderr, flush=True)
        with suppress(OSError):
            sys.stdout.flush()
        os._exit(TERMINATED)


def _grace_s() -> float:
    text = os.environ.get(GRACE_VARIABLE, "")
    try:
        seconds = float(text) if text else DEFAULT_GRACE_S
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        system_logger.warning("%s is %r: expected seconds; it is %g", GRACE_VARIABLE, text, DEFAULT_GRACE_S)
        return DEFAULT_GRACE_S
    return seconds
