"""One attempt from its request to its files: the task is found, run, and what it returns or raises is written."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from contextvars import copy_context
from typing import Any

from flyteidl2.task.common_pb2 import Inputs, Outputs

from flyte._authoring.task import TaskTemplate
from flyte._context import ActionScope, enter_scope
from flyte._controller.failures import failure_of, user_traceback
from flyte._controller.garbage import fewer_full_collections
from flyte._controller.remote.attempts import RemoteAttempt
from flyte._engine.attempts import Failure
from flyte._logging import system_logger
from flyte._worker.bodies import memory_freed, run_body
from flyte._worker.code import load_task
from flyte._worker.controllers import controller_of, place_of
from flyte._worker.files import clear_outcome, load_inputs, write_error, write_outputs
from flyte._worker.request import AttemptRequest
from flyte._worker.termination import Termination
from flyte.models import RawDataPath, TaskContext
from flyte.report import Report
from flyte.report._files import write_report
from flyte.storage._checkpoints import reach_remote_checkpoints

FAILED_TO_LOAD = 1
"""Exit code where the task could not be found or its inputs not be read: nothing of it has run."""


def run_attempt(request: AttemptRequest) -> int:
    """Runs the attempt; returns the exit code of its process.

    Its outcome is in a file below `outputs_path`: `outputs.pb`, or `error.pb` where it failed. The exit code is 0 in
    both cases. It is 1 when the task could not be found or its inputs not be read, and that of the signal when the
    process was told to end; `error.pb` says why then too. What another process has left there is gone first.

    Call it once, in the main thread of a process that ends then: signals are heard to the end of it.

    Raises:
        StorageError: the outcome could not be written, so nobody learns it but by this.
    """
    reach_remote_checkpoints()
    process_id = os.getpid()
    termination = Termination(request.grace_s)
    termination.listen()
    clear_outcome(request.outputs_path)
    try:
        with memory_freed():
            inputs = load_inputs(request.inputs)
            task, request = load_task(request)
    except BaseException as error:
        _end_if_forked(process_id)
        _say(error)
        write_error(request.outputs_path, failure_in(error))
        return termination.exit_code if termination.was_asked else FAILED_TO_LOAD
    _end_if_forked(process_id)
    report = Report(request.action.name)
    try:
        outputs = _run(request, task, inputs, report, termination)
    except BaseException as error:
        was_asked = termination.was_asked
        _end_if_forked(process_id)
        _say(error)
        save_report(report, task, request)
        write_error(request.outputs_path, _terminated(task, termination) if was_asked else failure_in(error))
        return termination.exit_code if was_asked else 0
    _end_if_forked(process_id)
    save_report(report, task, request)
    # What is complete is complete, even where the process was told to end meanwhile.
    _write(request.outputs_path, outputs)
    return 0


def _run(
    request: AttemptRequest,
    task: TaskTemplate[Any, Any, Any],
    inputs: Inputs,
    report: Report,
    termination: Termination,
) -> Outputs:
    attempt = RemoteAttempt(task=task, report=report, place=place_of(request))
    controller = controller_of(request)
    scope = ActionScope(
        action_name=request.action.name,
        controller=controller,
        make_context=lambda scope: attempt_context(request, scope, report),
        custom_context={pair.key: pair.value for pair in inputs.context},
        attempt=attempt,
    )
    context = copy_context()
    context.run(enter_scope, scope)
    try:
        with fewer_full_collections():
            return context.run(run_body, task, inputs, termination)
    finally:
        attempt.is_over = True
        _open_standard_streams()
        controller.end_blocking(attempt)
        controller.close()


def attempt_context(request: AttemptRequest, scope: ActionScope, report: Report) -> TaskContext:
    """What `flyte.ctx()` is in the attempt; inside a trace, the action is that of the trace."""
    is_trace = scope.action_name != request.action.name
    return TaskContext(
        action=request.action.new_sub_action(scope.action_name) if is_trace else request.action,
        version=request.version,
        raw_data_path=RawDataPath(path=request.raw_data_path, path_rewrite=request.path_rewrite),
        input_path=request.inputs,
        output_path=request.outputs_path,
        run_base_dir=request.run_base_dir,
        report=report,
        group_data=scope.group,
        checkpoint_paths=request.checkpoints,
        code_bundle=request.code,
        compiled_image_cache=request.image_cache,
        mode="remote",
        interactive_mode=request.is_interactive,
        custom_context=dict(scope.custom_context),
        run_start_time=request.start_time,
        task_action=request.action if is_trace else None,
        _attempt_number=request.attempt_number,
    )


def _write(outputs_path: str, outputs: Outputs) -> None:
    try:
        write_outputs(outputs_path, outputs)
    except Exception as error:
        # The file says why to whoever does not see this process end; a disk with no room for one may have it for that.
        with suppress(Exception):
            write_error(outputs_path, failure_in(error))
        raise


def save_report(report: Report, task: Any, request: AttemptRequest) -> None:
    """The report is below `outputs_path`, where the task has one."""
    if not task.report:
        return
    try:
        write_report(report, request.outputs_path)
    except Exception as error:
        # A report tells about the work; not having one must not undo it.
        system_logger.warning("the report of action %s was not written: %s", request.action.name, error)


def failure_in(error: BaseException) -> Failure:
    """The failure that what an attempt raised stands for."""
    if isinstance(error, SystemExit):
        message = f"the task called sys.exit({error.code!r}), which ends no attempt: return, or raise an error."
        return Failure("SystemExit", "user", message, worker="user")
    try:
        return failure_of(error)
    except Exception as in_text:
        message = f"it has no text: its __str__ raised {type(in_text).__name__}."
        return Failure(type(error).__name__, "user", message, worker="user")


def _terminated(task: TaskTemplate[Any, Any, Any], termination: Termination) -> Failure:
    message = f"the process of task {task.name!r} was told to end ({termination.signal_name}) before the task returned."
    return Failure("Interrupted", "system", message)


def _say(error: BaseException) -> None:
    """The traceback is in the log of the attempt; the file has the message alone."""
    with suppress(Exception):  # The task may have closed or replaced the stream.
        print(user_traceback(error), file=sys.stderr, end="", flush=True)


def _open_standard_streams() -> None:
    """Their descriptors are open, if to nothing: else the next file would get one, and with it what is printed."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest that is free, which is this one.
            os.open(os.devnull, os.O_RDWR)


def _end_if_forked(process_id: int) -> None:
    """Only the process that was started for the attempt goes on: one that the task forked writes no outcome."""
    if os.getpid() == process_id:
        return
    with suppress(Exception):
        print("a process that the task forked came back from it, and ends here", file=sys.stderr, flush=True)
    os._exit(FAILED_TO_LOAD)
