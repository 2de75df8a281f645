"""`flyte get`: what is recorded of runs, and the configuration in force."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from flyte.cli._commands import Command, Group, refused
from flyte.cli._invocation import current_invocation
from flyte.cli._options import F, assignment, moment

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
_ABSENT = (
    "app",
    "artifact",
    "devbox",
    "project",
    "settings",
    "task",
    "trigger",
)
_NOT_RECORDED = "has nothing to select by: the runs of this machine do not record it."
_NO_SCOPE = "has no meaning here: the runs of this machine are one list."


@click.group(
    cls=Group,
    absent=dict.fromkeys(_ABSENT, "needs a control plane, which this release has no client for yet."),
)
def get() -> None:
    """Show recorded runs, their actions, inputs and outputs, and the configuration."""


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
@refused("--only-mine", takes_value=False, why=_NO_SCOPE)
@refused("--paused-only", takes_value=False, why="has nothing to select: a run of this machine never pauses.")
@refused("--task-version", why=_NOT_RECORDED)
@refused("--updated-after", why=_NOT_RECORDED)
@refused("--updated-before", why=_NOT_RECORDED)
@refused("--project", "-p", why=_NO_SCOPE)
@refused("--domain", "-d", why=_NO_SCOPE)
def get_run(
    name: str | None,
    limit: int,
    phases: tuple[str, ...],
    task_name: str | None,
    created_after: datetime | None,
    created_before: datetime | None,
    labels: tuple[tuple[str, str], ...],
    label_keys: tuple[str, ...],
) -> None:
    """List the runs of this machine, newest first; with NAME, show one of them."""
    from flyte.cli._run_views import RunQuery, show_run, show_runs

    invocation = current_invocation()
    if name is not None:
        show_run(name, invocation.output)
        return
    query = RunQuery(phases, task_name, created_after, created_before, dict(labels), label_keys, limit)
    show_runs(query, invocation.output)


@get.command(cls=Command, name="action")
@click.argument("run_name")
@click.argument("action_name", required=False)
@_phase_option()
@_limit_option("actions")
@click.option("--after", metavar="ACTION", help="Start after this action: the next page.")
@refused("--project", "-p", why=_NO_SCOPE)
@refused("--domain", "-d", why=_NO_SCOPE)
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
@refused("--project", "-p", why=_NO_SCOPE)
@refused("--domain", "-d", why=_NO_SCOPE)
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
@refused("--project", "-p", why=_NO_SCOPE)
@refused("--domain", "-d", why=_NO_SCOPE)
def get_code(run_name: str, action_name: str, dest: Path | None, no_extract: bool, attempt: int | None) -> None:
    """Save the code that an isolated run was started with, and print where it is."""
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
@refused("--filter-system", takes_value=False, why="has nothing to leave out: logs hold what tasks print, and no more.")
@refused("--project", "-p", why=_NO_SCOPE)
@refused("--domain", "-d", why=_NO_SCOPE)
def get_logs(
    run_name: str, action_name: str | None, attempt: int | None, lines: int | None, follow: bool, show_ts: bool
) -> None:
    """Show what the tasks of a run have printed and logged; with ACTION_NAME, what one of them has."""
    from flyte.cli._log_views import LogQuery, follow_logs, show_logs

    output = current_invocation().output
    query = LogQuery(run_name, action_name, attempt, lines, show_ts)
    if not follow:
        show_logs(query, output)
    elif output.is_document:
        raise click.UsageError("--follow writes lines while they come: leave it out to get one JSON document.")
    else:
        follow_logs(query)


@get.command(cls=Command, name="condition")
@click.argument("run_name")
@click.argument("action_name", required=False)
@refused("--project", "-p", why=_NO_SCOPE)
@refused("--domain", "-d", why=_NO_SCOPE)
def get_condition(run_name: str, action_name: str | None) -> None:
    """List what a run asks people, and what they answered; with ACTION_NAME, show one question."""
    from flyte.cli._condition_views import show_condition, show_conditions

    output = current_invocation().output
    if action_name is not None:
        show_condition(run_name, action_name, output)
    else:
        show_conditions(run_name, output)


@get.command(cls=Command, name="secret")
def get_secret() -> None:
    """List the secrets kept on this machine. Their values are never shown."""
    from flyte.cli._secret_views import show_secrets

    show_secrets(current_invocation().output)


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
