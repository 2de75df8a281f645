"""`flyte abort`: ending a run, or one of its actions, from another terminal."""

from __future__ import annotations

import rich_click as click

from flyte.cli._commands import Command, Group
from flyte.cli._invocation import OutputFormat, current_invocation
from flyte.cli._options import F, place_options

_ROOT = "a0"


@click.group(cls=Group)
def abort() -> None:
    """End a run of this machine, or of a control plane that is configured, or one of its actions."""


def _reason(command: F) -> F:
    option = click.option(
        "--reason", default="Manually aborted from the CLI", show_default=True, help="Recorded with what is aborted."
    )
    return option(place_options(command))


@abort.command(cls=Command, name="run")
@click.argument("run_name", metavar="RUN")
@_reason
def abort_run(run_name: str, reason: str) -> None:
    """End a run with everything in it. A run whose process is gone is recorded as aborted."""
    _abort(run_name, _ROOT, reason, current_invocation().output)


@abort.command(cls=Command, name="action")
@click.argument("run_name", metavar="RUN")
@click.argument("action_name", metavar="ACTION")
@_reason
def abort_action(run_name: str, action_name: str, reason: str) -> None:
    """End one action with everything below it. The task that called it gets ActionAbortedError, and may go on."""
    _abort(run_name, action_name, reason, current_invocation().output)


def _abort(run_name: str, action_name: str, reason: str, output: OutputFormat) -> None:
    from flyte.cli._documents import print_document
    from flyte.cli._plane import is_configured, refuse_place
    from flyte.models import ActionPhase

    if is_configured():
        from flyte.cli._plane_aborting import abort_on_plane

        outcome = abort_on_plane(run_name, action_name, reason)
    else:
        from flyte._run.aborting import abort as abort_now
        from flyte.cli._recorded import open_run
        from flyte.config import home

        refuse_place()
        # Nothing is created where nothing is recorded.
        with open_run(run_name):
            pass
        outcome = abort_now(home(), run_name, action_name, reason)
    if output.is_document:
        document = {"run": run_name, "action": action_name, "phase": outcome.phase.value, "reason": reason}
        print_document(document, output)
        return
    what = f"Run {run_name}" if action_name == _ROOT else f"Action {action_name} of run {run_name}"
    if outcome.phase is ActionPhase.ABORTED:
        print(f"{what} is aborted{', its process was gone' if outcome.is_ownerless else ''}.")
    elif outcome.phase.is_terminal:
        print(f"{what} was over before it could be aborted: it is {outcome.phase.value}.")
    else:
        print(f"{what} is asked to end, and still {outcome.phase.value}: its code does not let go yet.")
