"""Running a task from the command line, and telling how it went."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from flyte.cli._errors import FAILED, INTERRUPTED, CommandError
from flyte.cli._live import shown
from flyte.cli._progress_text import total_counts
from flyte.cli._run_report import Outcome, report_aborted, report_failed, report_succeeded
from flyte.cli._session import RunSettings, Session, current_session
from flyte.cli._streams import task_output_on_stderr
from flyte.cli._terminal import note

if TYPE_CHECKING:
    from flyte import TaskTemplate
    from flyte._run import Runner


def execute(task: TaskTemplate[Any, Any, Any], inputs: dict[str, Any], settings: RunSettings) -> None:
    """Run a task on this machine, show it while it goes on, and report its outcome.

    Raises:
        click.exceptions.Exit: the run failed (1) or was aborted (130), which is reported.
        CommandError: there is no run, because the command was wrong.
    """
    from flyte.errors import BaseRuntimeError

    session = current_session()
    _refuse_control_plane(session, settings)
    runner = _runner(session, settings)
    if not settings.is_local:
        note("No control plane is configured: running on this machine, as --local does.")
    began = time.monotonic()

    def outcome() -> Outcome:
        progress = runner.progress
        return Outcome(task.name, progress.run_name, time.monotonic() - began, total_counts(progress))

    try:
        with (
            task_output_on_stderr() if session.output.is_document else nullcontext(),
            shown(runner.progress, task.name, enabled=session.shows_progress),
        ):
            run = runner.run(task, **inputs)
    except KeyboardInterrupt:
        report_aborted(session, outcome())
        raise click.exceptions.Exit(INTERRUPTED) from None
    except BaseRuntimeError as error:
        if not runner.progress.run_name:
            raise
        report_failed(session, outcome(), error)
        raise click.exceptions.Exit(FAILED) from None
    except (TypeError, ValueError) as error:
        if runner.progress.run_name:
            raise
        raise CommandError(str(error)) from None
    report_succeeded(session, outcome(), run)


def _refuse_control_plane(session: Session, settings: RunSettings) -> None:
    endpoint = session.config.platform.endpoint
    if endpoint and not settings.is_local:
        raise CommandError(
            f"the control plane {endpoint} is configured, and this release has no client for one yet: "
            "`flyte run --local ...` runs the task on this machine."
        )


def _runner(session: Session, settings: RunSettings) -> Runner:
    from flyte._run import with_runcontext

    defaults = session.config.task
    try:
        return with_runcontext(
            mode="local",
            name=settings.name,
            project=settings.project or defaults.project,
            domain=settings.domain or defaults.domain,
            raw_data_path=settings.raw_data_path,
            env_vars=settings.env_vars,
            labels=settings.labels,
        )
    except (TypeError, ValueError) as error:
        raise CommandError(str(error)) from None
