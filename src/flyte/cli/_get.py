"""`flyte get`: what is recorded of runs, and the configuration in force."""

from __future__ import annotations

from typing import TYPE_CHECKING

import rich_click as click

from flyte.cli._commands import Command, Group, refused
from flyte.cli._options import F, assignment, moment
from flyte.cli._session import current_session

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
    "code",
    "condition",
    "devbox",
    "logs",
    "project",
    "secret",
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

    session = current_session()
    if name is not None:
        show_run(name, session.output)
        return
    query = RunQuery(phases, task_name, created_after, created_before, dict(labels), label_keys, limit)
    show_runs(query, session.output)


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

    session = current_session()
    if action_name is not None:
        show_action(run_name, action_name, session.output)
    else:
        show_actions(run_name, phases, after, limit, session.output)


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
    show_io(run_name, action_name, sides, current_session().output)


@get.command(cls=Command, name="config")
def get_config() -> None:
    """Show the configuration in force, and where it comes from."""
    from flyte.cli._config_view import show_config

    session = current_session()
    show_config(session.config, session.output)
