"""`flyte get`: what is recorded of runs, and the configuration in force."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from flyte.cli._commands import Command, Group, refused
from flyte.cli._invocation import current_invocation
from flyte.cli._options import F, assignment, moment, place_options

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

_PHASES = (
    "queued",
    "waiting_for_resources",
    "initializing",
    "running",
    "paused",
    "succeeded",
    "failed",
    "aborted",
    "timed_out",
    "recovered",
)
_PAGE = 100
_ABSENT = {
    "app": "is not there: this release serves no apps.",
    "artifact": "is not there: this release keeps no artifacts; `flyte get io RUN` shows outputs.",
    "devbox": "is not there: `flyte status` says how the control plane of this machine is.",
}
_ON_PLANE = (
    "is known by a control plane alone, and none is configured: leave it out, or use `flyte --endpoint ADDRESS`."
)


@click.group(
    cls=Group,
    absent=_ABSENT,
)
def get() -> None:
    """Show runs, their actions, inputs and outputs; tasks, triggers, projects and secrets; and the configuration."""


def _limit_option(what: str) -> Callable[[F], F]:
    return click.option(
        "--limit", type=click.IntRange(min=1), default=_PAGE, show_default=True, help=f"Show at most so many {what}."
    )


def _phase_option(*more: str) -> Callable[[F], F]:
    return click.option(
        "--in-phase",
        "phases",
        type=click.Choice([*_PHASES, *more]),
        multiple=True,
        help="Only in this phase; repeatable.",
    )


@get.command(cls=Command, name="run")
@click.argument("name", required=False)
@_limit_option("runs")
@_phase_option("interrupted")
@click.option("--task-name", metavar="NAME", help="Only runs of this task.")
@click.option("--created-after", type=moment, metavar="TIME", help="Only runs created at or after this time.")
@click.option("--created-before", type=moment, metavar="TIME", help="Only runs created before this time.")
@click.option(
    "--with-label",
    "labels",
    type=assignment,
    metavar="KEY=VALUE",
    multiple=True,
    help="Only runs with this label; repeatable, all count.",
)
@click.option(
    "--with-label-key",
    "label_keys",
    metavar="KEY",
    multiple=True,
    help="Only runs with a label of this key; repeatable.",
)
@click.option("--task-version", metavar="TEXT", help="Only runs of this version of a task.")
@click.option("--updated-after", type=moment, metavar="TIME", help="Of a control plane, those changed since.")
@click.option("--updated-before", type=moment, metavar="TIME", help="Of a control plane, those not changed since.")
@click.option("--only-mine", is_flag=True, help="Of a control plane, those that you started.")
@click.option("--paused-only", is_flag=True, help="Of a control plane, those that wait for an answer.")
@place_options
def get_run(
    name: str | None,
    limit: int,
    phases: tuple[str, ...],
    task_name: str | None,
    created_after: datetime | None,
    created_before: datetime | None,
    labels: tuple[tuple[str, str], ...],
    label_keys: tuple[str, ...],
    task_version: str | None,
    **on_plane: Any,
) -> None:
    """List the runs of this machine, or of a control plane that is configured, newest first; with NAME, show one.

    Runs of this machine are those that ran here, and those that its control plane serves.
    """
    from flyte.cli._plane import is_configured
    from flyte.cli._run_views import RunQuery, show_run, show_runs

    invocation = current_invocation()
    if name is not None:
        show_run(name, invocation.output)
        return
    if given := [name for name, value in on_plane.items() if value and not is_configured()]:
        raise click.UsageError(f"--{given[0].replace('_', '-')} {_ON_PLANE}")
    query = RunQuery(
        phases,
        task_name,
        created_after,
        created_before,
        dict(labels),
        label_keys,
        limit,
        task_version=task_version,
        project=invocation.project,
        domain=invocation.domain,
        **on_plane,
    )
    show_runs(query, invocation.output)


@get.command(cls=Command, name="action")
@click.argument("run_name")
@click.argument("action_name", required=False)
@_phase_option()
@_limit_option("actions")
@click.option("--after", metavar="ACTION", help="Start after this action: the next page.")
@place_options
def get_action(run_name: str, action_name: str | None, phases: tuple[str, ...], limit: int, after: str | None) -> None:
    """List the actions of a run in the order they were made; with ACTION_NAME, show one of them."""
    from flyte.cli._action_views import show_action, show_actions

    invocation = current_invocation()
    if action_name is not None:
        show_action(run_name, action_name, invocation.output)
    else:
        show_actions(run_name, phases, after, limit, invocation.output)


@get.command(cls=Command, name="io")
@click.argument("run_name")
@click.argument("action_name", default="a0")
@click.option("-i", "--inputs-only", is_flag=True, help="Without the outputs.")
@click.option("-o", "--outputs-only", is_flag=True, help="Without the inputs.")
@place_options
def get_io(run_name: str, action_name: str, inputs_only: bool, outputs_only: bool) -> None:
    """Show the inputs and outputs of a run, or of one of its actions."""
    from flyte.cli._action_views import show_io

    if inputs_only and outputs_only:
        raise click.UsageError("--inputs-only and --outputs-only exclude each other.")
    sides = ("inputs",) if inputs_only else ("outputs",) if outputs_only else ("inputs", "outputs")
    show_io(run_name, action_name, sides, current_invocation().output)


@get.command(cls=Command, name="cache")
@click.argument("task_name", metavar="[TASK]", required=False)
@_limit_option("results")
def get_cache(task_name: str | None, limit: int) -> None:
    """List the results kept for later calls, newest first; with TASK, those of one task."""
    from flyte.cli._cache_views import show_kept

    show_kept(task_name, limit, current_invocation().output)


@get.command(cls=Command, name="report")
@click.argument("run_name")
@click.argument("action_name", default="a0")
@click.option("--open", "is_opened", is_flag=True, help="Open it in the browser.")
@place_options
def get_report(run_name: str, action_name: str, is_opened: bool) -> None:
    """Print the path of the report of a run, or of one of its actions."""
    from flyte.cli._report_view import show_report

    show_report(run_name, action_name, current_invocation().output, is_opened=is_opened)


@get.command(cls=Command, name="code")
@click.argument("run_name")
@click.argument("action_name", default="a0")
@click.option(
    "-o",
    "--dest",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder to put it into, absent or empty; default RUN_NAME-code.",
)
@click.option("--no-extract", is_flag=True, help="Keep the archive as it is.")
@click.option("-a", "--attempt", type=click.IntRange(min=1), help="Of this attempt; all of a run have the same code.")
@place_options
def get_code(run_name: str, action_name: str, dest: Path | None, no_extract: bool, attempt: int | None) -> None:
    """Save the code that a served or isolated run was started with, and print where it is."""
    from flyte.cli._code_view import save_run_code

    output = current_invocation().output
    save_run_code(run_name, action_name, dest, attempt, output, is_unpacked=not no_extract)


@get.command(cls=Command, name="logs")
@click.argument("run_name")
@click.argument("action_name", required=False)
@click.option("-a", "--attempt", type=click.IntRange(min=1), help="Of this attempt; default the action's last one.")
@click.option("-l", "--lines", type=click.IntRange(min=1), help="Only so many, the last ones; default all.")
@click.option("-f", "--follow", is_flag=True, help="Go on with every line as it is printed, until the end.")
@click.option("--show-ts", is_flag=True, help="With the time of each line, in UTC.")
@refused("--pretty", takes_value=False, why="has no meaning here: logs are lines.")
@click.option("--filter-system", is_flag=True, help="Of a control plane, what tasks print alone.")
@place_options
def get_logs(
    run_name: str,
    action_name: str | None,
    attempt: int | None,
    lines: int | None,
    follow: bool,
    show_ts: bool,
    filter_system: bool,
) -> None:
    """Show what the tasks of a run have printed and logged; with ACTION_NAME, what one of them has.

    Of a run on a control plane that is configured, without ACTION_NAME, it is what the root task has.
    """
    from flyte.cli._log_views import follow_logs, show_logs
    from flyte.cli._plane_logs import LogQuery

    output = current_invocation().output
    query = LogQuery(run_name, action_name, attempt, lines, show_ts, filter_system)
    if not follow:
        show_logs(query, output)
    elif output.is_document:
        raise click.UsageError("--follow writes lines while they come: leave it out to get one JSON document.")
    else:
        follow_logs(query)


@get.command(cls=Command, name="condition")
@click.argument("run_name")
@click.argument("action_name", required=False)
@place_options
def get_condition(run_name: str, action_name: str | None) -> None:
    """List what a run asks people, and what they answered; with ACTION_NAME, show one question."""
    from flyte.cli._condition_views import show_condition, show_conditions

    output = current_invocation().output
    if action_name is not None:
        show_condition(run_name, action_name, output)
    else:
        show_conditions(run_name, output)


@get.command(cls=Command, name="secret")
@click.argument("name", required=False)
@place_options
@refused("--cluster-pool", why="is not there: this release knows no pools of clusters.")
def get_secret(name: str | None) -> None:
    """List the secrets of this machine, or of a control plane that is configured. Their values are never shown."""
    from flyte.cli._plane import is_configured
    from flyte.cli._secret_views import show_plane_secrets, show_secrets

    output = current_invocation().output
    if is_configured():
        show_plane_secrets(name, output)
    else:
        show_secrets(name, output)


@get.command(cls=Command, name="task")
@click.argument("name", required=False)
@click.argument("version", required=False)
@_limit_option("tasks")
@click.option("--entrypoint", is_flag=True, help="Only tasks that are meant to be run by people.")
@place_options
def get_task(name: str | None, version: str | None, limit: int, entrypoint: bool) -> None:
    """List deployed tasks; with NAME, the versions of one; with VERSION, show that."""
    from flyte.cli._task_views import show_task, show_tasks

    output = current_invocation().output
    if name is not None and version is not None:
        show_task(name, version, output)
    else:
        show_tasks(name, limit, output, are_entrypoints=entrypoint)


@get.command(cls=Command, name="trigger")
@click.argument("task_name", metavar="[TASK]", required=False)
@click.argument("name", required=False)
@_limit_option("triggers")
@place_options
def get_trigger(task_name: str | None, name: str | None, limit: int) -> None:
    """List triggers of deployed tasks; with TASK, those of one; with NAME, show that."""
    from flyte.cli._trigger_views import show_trigger, show_triggers

    output = current_invocation().output
    if task_name is not None and name is not None:
        show_trigger(task_name, name, output)
    else:
        show_triggers(task_name, limit, output)


@get.command(cls=Command, name="project")
@click.argument("project_id", metavar="[ID]", required=False)
@click.option("--archived", is_flag=True, help="Those that are archived, in place of the others.")
def get_project(project_id: str | None, archived: bool) -> None:
    """List the projects of the control plane; with ID, show one."""
    from flyte.cli._project_views import show_project, show_projects

    output = current_invocation().output
    if project_id is not None:
        show_project(project_id, output)
    else:
        show_projects(output, are_archived=archived)


@get.command(cls=Command, name="settings")
@click.option(
    "-o",
    "--to-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write them to a file that `flyte edit settings --from-file` takes.",
)
@place_options
def get_settings(to_file: Path | None) -> None:
    """Show the settings that the control plane keeps; with --domain, or that and --project, of that place."""
    from flyte.cli._settings_views import show_settings

    show_settings(to_file, current_invocation().output)


@get.command(cls=Command, name="token")
def get_token() -> None:
    """List the tokens that let callers use the server of this home. What they are is kept nowhere."""
    from flyte.cli._token_views import show_tokens

    show_tokens(current_invocation().output)


@get.command(cls=Command, name="image")
@click.argument("key", required=False)
def get_image(key: str | None) -> None:
    """List the images that were built as environments of this machine, newest first; with KEY, show one of them."""
    from flyte.cli._image_views import show_image, show_images

    output = current_invocation().output
    if key is not None:
        show_image(key, output)
    else:
        show_images(output)


@get.command(cls=Command, name="config")
def get_config() -> None:
    """Show the configuration in force, and where it comes from."""
    from flyte.cli._config_view import show_config

    invocation = current_invocation()
    show_config(invocation.config, invocation.output)
