"""`flyte run deployed-task`: the tasks of a control plane as commands."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import rich_click as click

from flyte.cli._commands import Command, Group
from flyte.cli._invocation import RunSettings

if TYPE_CHECKING:
    from flyte.remote import TaskDetails

_LISTED = 1000


class DeployedTasks(Group):
    """The tasks of the project, by their full names; `NAME:VERSION` is one that is not the newest."""

    exit_code_of_listing = 0

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            help="Run a task that was deployed. ENVIRONMENT.TASK is its newest version.",
            subcommand_metavar="ENVIRONMENT.TASK[:VERSION] [INPUTS]...",
            context_settings={"rich_help_config": {"commands_panel_title": "Deployed tasks"}},
            **kwargs,
        )

    def list_commands(self, ctx: click.Context) -> list[str]:
        from flyte.remote import Task

        _connect(ctx)
        return sorted({task.name for task in Task.listall(limit=_LISTED)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        details = _load(ctx, cmd_name)
        return None if details is None else _command(cmd_name, details)

    def unknown_command(self, ctx: click.Context, name: str) -> str:
        from difflib import get_close_matches

        task, _, version = name.partition(":")
        tasks = self.list_commands(ctx)
        if task in tasks:
            return f"task {task!r} has no version {version!r}: `flyte get task {task}` lists those it has."
        near = get_close_matches(task, tasks, n=1)
        some = f"There are: {', '.join(tasks)}." if tasks else "None is: `flyte deploy FILE ENV_VARIABLE` deploys one."
        return f"no task {task!r} is deployed there. {f'Did you mean {near[0]}?' if near else some}"


class DeployedTaskCommand(Command):
    """Runs a deployed task with the inputs that its options give; the others are those it was deployed with."""

    def __init__(self, details: TaskDetails, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._details = details

    def invoke(self, ctx: click.Context) -> Any:
        from flyte.cli._served_run import served_runner, start_served
        from flyte.cli._task_command import given_inputs

        inputs = given_inputs(self, ctx, f"task {self._details.name}")
        settings = ctx.find_object(RunSettings) or RunSettings()
        where = self._details.pb2.task_id
        project, domain = settings.run_place
        settings = replace(settings, run_place=(project or where.project, domain or where.domain))
        runner = served_runner(settings)
        start = partial(runner.run, self._details, **inputs)
        start_served(self._details.name, start, follows=settings.follow)


def _command(name: str, details: TaskDetails) -> DeployedTaskCommand:
    from flyte.cli._literals import show_value, value_of
    from flyte.cli._task_command import task_command

    described = details.pb2.spec.documentation
    made = task_command(name, details)
    defaults = {each.name: each.parameter.default for each in details.pb2.spec.default_inputs}
    for option in made.params:
        if option.name in defaults:
            option.show_recorded(show_value(value_of(defaults[option.name])))  # type: ignore[attr-defined]
    texts = (described.short_description, described.long_description)
    return DeployedTaskCommand(
        details,
        name=name,
        params=made.params,
        help="\n\n".join(text for text in texts if text) or f"Run {details.name}, version {details.version}.",
        context_settings=made.context_settings,
    )


def _load(ctx: click.Context, name: str) -> TaskDetails | None:
    from flyte.errors import RemoteTaskNotFoundError
    from flyte.remote import Task

    _connect(ctx)
    task, _, version = name.partition(":")
    lazy = Task.get(task, version=version) if version else Task.get(task, auto_version="latest")
    try:
        return lazy.fetch()
    except RemoteTaskNotFoundError:
        return None


def _connect(ctx: click.Context) -> None:
    from flyte.cli._plane import connect

    settings = ctx.find_object(RunSettings) or RunSettings()
    connect(settings.project, settings.domain)
