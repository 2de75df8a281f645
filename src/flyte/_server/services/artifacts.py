"""Where what attempts run and leave is, beside their inputs and outputs: code and reports."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from flyteidl2.task.task_definition_pb2 import TaskSpec

from flyte._controller.local_run import run_folder
from flyte._server.refusals import UnknownError
from flyte._server.services.views import Viewed
from flyte.report._files import report_address
from flyte.storage._addresses import join

_BUNDLE_OPTIONS = ("--tgz", "--pkl")


def report_uri(home: Path, viewed: Viewed, attempt_no: int) -> str:
    """Where the report of an attempt is, or would be; 0 for the last attempt.

    Raises:
        UnknownError: there is no such attempt.
    """
    run, action = viewed.run, viewed.action
    if attempt_no > action.attempt_no:
        raise UnknownError(
            f"action {action.name!r} of run {run.run.name!r} has no attempt {attempt_no}: its last one is "
            f"{action.attempt_no}."
        )
    if run.is_local:
        base_dir = run.run.settings.get("run_base_dir") or run_folder(home, run.run.name)
        return report_address(join(str(base_dir), action.name))
    folder, _, last = action.output_uri.rstrip("/").rpartition("/")
    # An outcome from the cache or of another run lies where that run left it.
    is_own = attempt_no and last == str(action.attempt_no)
    return report_address(f"{folder}/{attempt_no}" if is_own else action.output_uri)


def bundle_uri(spec: TaskSpec | None, what: str) -> str:
    """Where the code of a task is.

    Args:
        spec: Of the task; None where there is none.
        what: The task or action, for the error.

    Raises:
        UnknownError: it runs code that was not sent.
    """
    if spec is not None:
        template = spec.task_template
        if template.metadata.code_bundle_uri:
            return str(template.metadata.code_bundle_uri)
        for option, value in pairwise(template.container.args):
            if option in _BUNDLE_OPTIONS:
                return str(value)
    raise UnknownError(f"{what} has no code bundle: it runs code that is where its task runs.")
