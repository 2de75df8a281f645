"""`flyte resume`: going on with a run."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import rich_click as click

from flyte.cli._commands import Command
from flyte.cli._errors import CommandError
from flyte.cli._options import assignment

if TYPE_CHECKING:
    from flyte._controller.recall import OnDivergence
    from flyte._store.records import StoredRun


@click.command(cls=Command)
@click.argument("run_name", metavar="RUN")
@click.option("--allow-code-change", is_flag=True, help="Go on although the code of a task has changed.")
@click.option(
    "--on-divergence",
    type=click.Choice(["warn", "error"]),
    default="warn",
    show_default=True,
    help="When a task makes other calls than it made before.",
)
@click.option(
    "-e",
    "--env",
    "env_vars",
    type=assignment,
    metavar="KEY=VALUE",
    multiple=True,
    help="Environment variable of the run; repeatable. Those of the first start are not recorded.",
)
def resume(
    run_name: str, allow_code_change: bool, on_divergence: OnDivergence, env_vars: tuple[tuple[str, str], ...]
) -> None:
    """Go on with a run that failed, was aborted or interrupted, under its own name.

    What has succeeded is taken from the record, everything else is tried again.
    """
    from flyte._controller.progress import RunProgress
    from flyte._run import resume as resume_run
    from flyte.cli._execution import follow
    from flyte.cli._recorded import open_run
    from flyte.cli._sources import import_source
    from flyte.cli._terminal import note
    from flyte.models import ActionPhase

    with open_run(run_name) as (_, run):
        pass
    if run.mode == "remote":
        raise CommandError(_served(run))
    import_source(run)
    if run.phase is ActionPhase.SUCCEEDED:
        note(f"Run {run_name} has succeeded already: nothing runs.")
    progress = RunProgress()
    go_on = partial(
        resume_run,
        run_name,
        allow_code_change=allow_code_change,
        on_divergence=on_divergence,
        env_vars=dict(env_vars),
        progress=progress,
    )
    follow(run.task_name, progress, go_on)


def _served(run: StoredRun) -> str:
    """Why a run that the control plane of this machine serves is not resumed here."""
    from flyte._server.instances import running_instance
    from flyte.config import home

    if run.phase.is_terminal:
        return (
            f"run {run.name} was served by the control plane, and is over: it is {run.phase.value}. To run what is "
            f"missing as a new run: flyte rerun {run.name} --recover"
        )
    instance = running_instance(home())
    if instance is None:
        return f"run {run.name} is the control plane's, which goes on with it when it runs: `flyte start --detach`."
    return f"run {run.name} is the control plane's at {instance.url}, which goes on with it by itself."
