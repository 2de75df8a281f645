"""Running a task from the command line, and telling how it went."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from flyte.cli._errors import FAILED, INTERRUPTED, CommandError
from flyte.cli._invocation import Invocation, RunSettings, current_invocation
from flyte.cli._live import shown
from flyte.cli._progress_text import total_counts
from flyte.cli._run_report import Outcome, report_aborted, report_failed, report_succeeded
from flyte.cli._streams import task_output_on_stderr

if TYPE_CHECKING:
    from flyte import TaskTemplate
    from flyte._controller.progress import RunProgress
    from flyte._run import LocalRun, Runner


def execute(task: TaskTemplate[Any, Any, Any], inputs: dict[str, Any], settings: RunSettings) -> None:
    """Run a task, on a control plane or here, and report how that went.

    Raises:
        click.exceptions.Exit: the run failed (1) or was aborted (130), which is reported.
        CommandError: there is no run, because the command was wrong.
    """
    if not settings.is_local:
        from flyte.cli._served_run import served_runner, start_served

        with _sendable(task, settings) as (sent, placed):
            remote = served_runner(placed)
            start_served(sent.name, partial(remote.run, sent, **inputs), follows=placed.follow)
        return
    runner = runner_of(current_invocation(), settings)
    follow(task.name, runner.progress, partial(runner.run, task, **inputs))


@contextmanager
def _sendable(
    task: TaskTemplate[Any, Any, Any], settings: RunSettings
) -> Iterator[tuple[TaskTemplate[Any, Any, Any], RunSettings]]:
    """The task with code that can be bundled: the built-in example is a file of its own for as long as that takes."""
    from flyte.cli import _discovery

    if getattr(getattr(task, "func", None), "__module__", "") != "flyte.cli._hello":
        yield task, settings
        return
    with TemporaryDirectory(prefix="flyte-tmp-") as folder:
        file = Path(folder, "hello.py")
        shutil.copy(Path(__file__).with_name("_hello.py"), file)
        yield _discovery.load_tasks(file)["hello"], replace(settings, root_dir=Path(folder))


def follow(title: str, progress: RunProgress, start: Callable[[], LocalRun]) -> None:
    """Show a run while `start` carries it out, and report its outcome.

    Args:
        title: Name of the root task.
        progress: Of the run; its `run_name` is set once there is one.
        start: Returns when the run is over.

    Raises:
        click.exceptions.Exit: the run failed (1) or was aborted with Ctrl-C (130), which is reported.
        CommandError: there is no run, because the command was wrong.
    """
    from flyte.errors import BaseRuntimeError, RunAbortedError

    invocation = current_invocation()
    began = time.monotonic()

    def outcome(run_name: str = "") -> Outcome:
        return Outcome(title, progress.run_name or run_name, time.monotonic() - began, total_counts(progress))

    try:
        with (
            task_output_on_stderr() if invocation.output.is_document else nullcontext(),
            shown(progress, title, enabled=invocation.shows_progress),
        ):
            run = start()
    except KeyboardInterrupt:
        report_aborted(invocation, outcome())
        raise click.exceptions.Exit(INTERRUPTED) from None
    except RunAbortedError as error:
        report_aborted(invocation, outcome(), str(error))
        raise click.exceptions.Exit(FAILED) from None
    except BaseRuntimeError as error:
        if not progress.run_name:
            raise
        report_failed(invocation, outcome(), error)
        raise click.exceptions.Exit(FAILED) from None
    except (TypeError, ValueError) as error:
        if progress.run_name:
            raise
        raise CommandError(str(error)) from None
    report_succeeded(invocation, outcome(run.name), run)


def runner_of(invocation: Invocation, settings: RunSettings) -> Runner:
    """The runner for the options of a command."""
    from flyte._run import with_runcontext

    defaults = invocation.config.task
    try:
        return with_runcontext(
            mode="local",
            name=settings.name,
            project=settings.project or defaults.project,
            domain=settings.domain or defaults.domain,
            raw_data_path=settings.raw_data_path,
            env_vars=settings.env_vars,
            labels=settings.labels,
            isolated=settings.isolated,
            copy_style=settings.copy_style or "loaded_modules",
        )
    except (TypeError, ValueError) as error:
        raise CommandError(str(error)) from None
