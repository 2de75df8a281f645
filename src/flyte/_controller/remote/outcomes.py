"""What comes of an action that has ended: its outputs, or the error that its caller gets."""

from __future__ import annotations

from flyteidl2.common.phase_pb2 import ActionPhase as PhaseMessage
from flyteidl2.task.common_pb2 import Outputs
from flyteidl2.workflow.state_service_pb2 import ActionUpdate

from flyte._controller.limits import check_inline_size
from flyte._controller.remote.attempts import Place
from flyte._controller.remote.failures import error_of_document, error_of_update
from flyte._controller.remote.files import OUTPUTS_FILE, read_error, read_outputs
from flyte._controller.remote.specs import CalledTask
from flyte.errors import BaseRuntimeError, RuntimeSystemError
from flyte.storage._addresses import join

DONE = frozenset({PhaseMessage.ACTION_PHASE_SUCCEEDED, PhaseMessage.ACTION_PHASE_RECOVERED})


async def outputs_of(update: ActionUpdate, task: CalledTask, place: Place) -> Outputs:
    """The outputs of a task's action that succeeded.

    Raises:
        BaseRuntimeError: it did not, or its outputs cannot be read.
    """
    if update.phase not in DONE:
        raise error_of_update(update, f"task {task.name!r}") or await _error_left(update, task, place)
    if not task.has_outputs:
        return Outputs()
    if not update.output_uri:
        raise RuntimeSystemError(
            "NoOutputs",
            f"action {update.action_id.name} (task {task.name!r}) has succeeded, and the control plane does not say "
            "where its outputs are.",
        )
    outputs, size_bytes = await read_outputs(join(update.output_uri, OUTPUTS_FILE))
    check_inline_size(task.limited, "outputs", size_bytes)
    return outputs


async def _error_left(update: ActionUpdate, task: CalledTask, place: Place) -> BaseRuntimeError:
    """The error of an action that failed without one: its first attempt may have left it."""
    name = update.action_id.name
    try:
        return error_of_document(await read_error(join(place.run_base_dir, name, "1")))
    except BaseRuntimeError as unread:
        return RuntimeSystemError(
            "UnknownFailure",
            f"action {name} (task {task.name!r}) failed, and neither the control plane nor a file says why: {unread}",
        )
