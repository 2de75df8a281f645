"""`flyte run`: files and folders as groups of commands, with a command for each task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click
from click import get_current_context

from flyte.cli._commands import Group, refused
from flyte.cli._discovery import load_tasks, near_files, python_files, task_folders
from flyte.cli._errors import WRONG_COMMAND
from flyte.cli._invocation import RunSettings, current_invocation
from flyte.cli._options import assignment, project_options

_SERVED = "concerns served runs; this release runs tasks on this machine only. Leave it out."
_HELLO = "hello"


class FileGroup(Group):
    """The tasks of a file as commands. The file is imported when they are asked for."""

    exit_code_of_listing = 0

    def __init__(self, file: Path, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._file = file
        self._tasks: dict[str, Any] | None = None

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._load(ctx))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from flyte.cli._task_command import task_command

        task = self._load(ctx).get(cmd_name)
        return None if task is None else task_command(cmd_name, task)

    def unknown_command(self, ctx: click.Context, name: str) -> str:
        from difflib import get_close_matches

        tasks = self.list_commands(ctx)
        near = get_close_matches(name, tasks, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"It has: {', '.join(tasks)}."
        return f"{self._file} has no task {name!r}. {hint}"

    def _load(self, ctx: click.Context) -> dict[str, Any]:
        if self._tasks is None:
            settings = ctx.find_object(RunSettings) or RunSettings()
            prepare_process(settings)
            self._tasks = load_tasks(self._file, settings.root_dir)
        return self._tasks


def prepare_process(settings: RunSettings) -> None:
    """What the file sees when it is imported: the configuration, and loggers at the levels asked for."""
    from flyte._logging import logger, system_logger
    from flyte._run import init_from_config

    invocation = current_invocation()
    init_from_config(invocation.config, root_dir=settings.root_dir)
    for each, level in ((system_logger, invocation.log_level), (logger, invocation.user_log_level)):
        if level is not None:
            each.setLevel(level)


class FolderGroup(Group):
    """The Python files of a folder, and its folders, as commands."""

    exit_code_of_listing = 0

    def __init__(self, folder: Path, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._folder = folder

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [str(path) for path in (*python_files(self._folder), *task_folders(self._folder))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for path in (self._folder / cmd_name, Path(cmd_name)):
            if path.is_file():
                return _file_group(path, cmd_name)
            if path.is_dir():
                return _folder_group(path, cmd_name)
        return None

    def unknown_command(self, ctx: click.Context, name: str) -> str:
        path = self._folder / name
        near = [str(path.with_name(each)) for each in near_files(name, path.parent)] if path.parent.is_dir() else []
        hint = f"Did you mean {' or '.join(near)}?" if near else "Give the path of a Python file that holds tasks."
        return f"there is no file or folder {str(path)!r}. {hint}"


def _folder_group(path: Path, name: str) -> FolderGroup:
    return FolderGroup(
        path,
        name=name,
        help=f"The Python files in {path}.",
        short_help="",
        subcommand_metavar="FILE|DIR TASK [INPUTS]...",
        context_settings={"rich_help_config": {"commands_panel_title": "Files"}},
    )


def _file_group(path: Path, name: str) -> FileGroup:
    if path.suffix != ".py":
        raise click.UsageError(f"{path} is not a Python file: its name does not end in .py.")
    return FileGroup(
        path,
        name=name,
        help=f"The tasks of {path}.",
        short_help="",
        subcommand_metavar="TASK [INPUTS]...",
        context_settings={"rich_help_config": {"commands_panel_title": "Tasks"}},
    )


class RunGroup(FolderGroup):
    """The current folder, and the built-in example."""

    exit_code_of_listing = WRONG_COMMAND

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(Path(), **kwargs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        # Not among the listed ones: describing a task imports the engine, and help must not wait for that.
        if cmd_name != _HELLO:
            return super().get_command(ctx, cmd_name)
        from flyte.cli._hello import hello
        from flyte.cli._task_command import task_command

        prepare_process(ctx.find_object(RunSettings) or RunSettings())
        return task_command(_HELLO, hello)


@click.group(
    cls=RunGroup,
    absent={
        "deployed-task": "runs a task of a control plane, which this release has no client for yet.",
        "python-script": "runs a script on a control plane, which this release has no client for yet.",
    },
    context_settings={"rich_help_config": {"commands_panel_title": "Files"}},
    subcommand_metavar="FILE|DIR|hello TASK [INPUTS]...",
)
@click.option("--local", "is_local", is_flag=True, help="Run here, even with a control plane configured.")
@click.option(
    "--isolated", is_flag=True, help="Run each attempt in a process of its own, in the image of its environment."
)
@click.option(
    "--copy-style",
    type=click.Choice(["loaded_modules", "all", "custom", "none"]),
    help="With --isolated, the code that flyte get code gives back; default loaded_modules.",
)
@click.option("--name", help="Name of the run; a fresh one by default.")
@click.option(
    "-e",
    "--env",
    "env_vars",
    type=assignment,
    metavar="KEY=VALUE",
    multiple=True,
    help="Environment variable of the run; repeatable.",
)
@click.option(
    "--label", "labels", type=assignment, metavar="KEY=VALUE", multiple=True, help="Label of the run; repeatable."
)
@project_options
@click.option(
    "--root-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder that modules are imported and named from; default the file's own.",
)
@click.option("--raw-data-path", metavar="PATH", help="Where tasks put data too large for their outputs.")
@refused("--follow", "-f", takes_value=False, why=_SERVED)
@refused("--tui", takes_value=False, why="is not there: in a terminal, a run is shown as it goes on without it.")
@refused("--tracked", takes_value=False, why=_SERVED)
@refused("--tracked-strict", takes_value=False, why=_SERVED)
@refused("--version", why=_SERVED)
@refused("--service-account", why=_SERVED)
@refused("--image", why=_SERVED)
@refused("--no-sync-local-sys-paths", takes_value=False, why=_SERVED)
@refused("--run-project", why=_SERVED)
@refused("--run-domain", why=_SERVED)
@refused("--debug", takes_value=False, why=_SERVED)
@refused("--max-action-concurrency", why=_SERVED)
@refused("--queue", why=_SERVED)
def run(env_vars: tuple[tuple[str, str], ...], labels: tuple[tuple[str, str], ...], **options: Any) -> None:
    """Run a task of a Python file on this machine, and record the run.

    flyte run FILE lists the tasks of a file; flyte run FILE TASK --help shows the inputs of a task. Options of the run
    come before the file, inputs of the task after its name.
    """
    if options["copy_style"] is not None and not options["isolated"]:
        raise click.UsageError("--copy-style is of use with --isolated alone: any other local run bundles no code.")
    get_current_context().obj = RunSettings(env_vars=dict(env_vars), labels=dict(labels), **options)
