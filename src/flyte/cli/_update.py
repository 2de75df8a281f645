"""`flyte update`: projects and triggers of a control plane."""

from __future__ import annotations

from typing import Literal

import rich_click as click

from flyte.cli._commands import Command, Group
from flyte.cli._invocation import current_invocation
from flyte.cli._options import assignment, place_options


@click.group(cls=Group, absent={"app": "is not there: this release serves no apps."})
def update() -> None:
    """Change projects and triggers."""


@update.command(cls=Command, name="project")
@click.argument("project_id", metavar="ID")
@click.option("--name", metavar="TEXT", help="What people call it.")
@click.option("--description", metavar="TEXT", help="What it is for.")
@click.option(
    "-l",
    "--label",
    "labels",
    type=assignment,
    metavar="KEY=VALUE",
    multiple=True,
    help="Label, in place of all it has; repeatable.",
)
@click.option("--archive/--unarchive", "is_archived", default=None, help="Hide it from listings, or show it again.")
def update_project(
    project_id: str,
    name: str | None,
    description: str | None,
    labels: tuple[tuple[str, str], ...],
    is_archived: bool | None,
) -> None:
    """Change a project. What is not given stays."""
    from flyte.cli._plane import connect
    from flyte.cli._project_views import known_project, show_project
    from flyte.remote import Project

    if name is None and description is None and not labels and is_archived is None:
        raise click.UsageError("say what to change: --name, --description, --label, --archive or --unarchive.")
    state: Literal["archived", "active"] | None = None
    if is_archived is not None:
        state = "archived" if is_archived else "active"
    connect()
    with known_project(project_id):
        Project.update(project_id, name=name, description=description, labels=dict(labels) or None, state=state)
    show_project(project_id, current_invocation().output)


@update.command(cls=Command, name="trigger")
@click.argument("name")
@click.argument("task_name", metavar="TASK")
@click.option("--activate/--deactivate", "is_active", default=None, help="Whether it fires by itself; required.")
@place_options
def update_trigger(name: str, task_name: str, is_active: bool | None) -> None:
    """Let a trigger fire by itself, or no more."""
    from flyte.cli._documents import print_document
    from flyte.cli._plane import connect
    from flyte.cli._trigger_views import known_trigger
    from flyte.remote import Trigger

    if is_active is None:
        raise click.UsageError("say what to change: --activate or --deactivate.")
    connect()
    with known_trigger(name, task_name):
        Trigger.update(name, task_name, is_active)
    output = current_invocation().output
    if output.is_document:
        print_document({"name": name, "task": task_name, "is_active": is_active}, output)
    else:
        print(f"Trigger {name} of task {task_name} is {'active' if is_active else 'not active any more'}.", flush=True)
