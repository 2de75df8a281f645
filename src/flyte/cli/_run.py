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

_HELLO = "hello"
_TRACKED = "is not there: a local run is recorded on this machine, where `flyte get run` lists it with served ones."
_DEPLOYED = "deployed-task"
_SERVED_ALONE = {
    "follow": "--follow",
    "version": "--version",
    "queue": "--queue",
    "max_action_concurrency": "--max-action-concurrency",
    "service_account": "--service-account",
    "images": "--image",
    "adds_root": "--no-sync-local-sys-paths",
}
"""What a local run has no use for."""


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
        if cmd_name == _DEPLOYED:
            from flyte.cli._deployed_task import DeployedTasks

            return DeployedTasks(name=_DEPLOYED)
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
        "python-script": "is not there: make the script a task, in a function with `@env.task`.",
    },
    context_settings={"rich_help_config": {"commands_panel_title": "Files"}},
    subcommand_metavar="FILE|DIR|hello|deployed-task TASK [INPUTS]...",
)
@click.option("--local", "is_local", is_flag=True, help="Run in this process, without a control plane.")
@click.option(
    "--isolated", is_flag=True, help="Run here, each attempt in a process of its own, in the image of its environment."
)
@click.option(
    "--copy-style",
    type=click.Choice(["loaded_modules", "all", "custom", "none"]),
    help="Which code is sent, or kept of a run with --isolated; default loaded_modules.",
)
@click.option("--version", metavar="TEXT", help="Version of the tasks; with --copy-style none, of the code in images.")
@click.option("-f", "--follow", is_flag=True, help="Show what the root task prints, and how the run ends.")
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
@click.option(
    "--image",
    "images",
    metavar="NAME=ADDRESS",
    multiple=True,
    help="What Image.from_ref_name stands for; without a name, `default`. Repeatable.",
)
@click.option("--queue", metavar="NAME", help="Queue that the actions wait in.")
@click.option(
    "--max-action-concurrency",
    type=click.IntRange(min=0),
    metavar="N",
    help="So many actions of the run at the same time, 2 or more; 0 is no limit.",
)
@click.option("--service-account", metavar="NAME", help="Recorded with the run.")
@click.option(
    "--no-sync-local-sys-paths", "keeps_paths", is_flag=True, help="Tasks import from the root of the code alone."
)
@click.option("--run-project", metavar="NAME", help="With deployed-task: project that it runs in.")
@click.option("--run-domain", metavar="NAME", help="With deployed-task: domain that it runs in.")
@refused("--tui", takes_value=False, why="is not there: in a terminal, a local run is shown as it goes on without it.")
@refused("--tracked", takes_value=False, why=_TRACKED)
@refused("--tracked-strict", takes_value=False, why=_TRACKED)
@refused("--debug", takes_value=False, why="is not there: `--local` runs the task where breakpoint() stops it.")
def run(
    env_vars: tuple[tuple[str, str], ...],
    labels: tuple[tuple[str, str], ...],
    is_local: bool,
    keeps_paths: bool,
    run_project: str | None,
    run_domain: str | None,
    **options: Any,
) -> None:
    """Run a task of a Python file, on a control plane or with --local in this process.

    Without one configured, the control plane of this machine is used, and started where it does not run.

    flyte run FILE lists the tasks of a file; flyte run FILE TASK --help shows the inputs of a task. Options of the run
    come before the file, inputs of the task after its name.
    """
    settings = RunSettings(
        env_vars=dict(env_vars),
        labels=dict(labels),
        is_local=is_local or options["isolated"],
        adds_root=not keeps_paths,
        run_place=(run_project, run_domain),
        **options,
    )
    ctx = get_current_context()
    _check(ctx, settings)
    ctx.obj = settings


def _check(ctx: click.Context, settings: RunSettings) -> None:
    """Nothing, where the options go together.

    Raises:
        UsageError: one has no meaning with another, or with what is run.
    """
    is_deployed = ctx.invoked_subcommand == _DEPLOYED
    defaults = RunSettings()
    if settings.is_local:
        if is_deployed:
            raise click.UsageError("a deployed task has its code on the control plane: leave --local out.", ctx)
        for name, option in _SERVED_ALONE.items():
            if getattr(settings, name) != getattr(defaults, name):
                raise click.UsageError(f"{option} concerns runs on a control plane: leave it out with --local.", ctx)
        if settings.copy_style is not None and not settings.isolated:
            raise click.UsageError(
                "--copy-style is of use with --isolated alone, of local runs: any other bundles no code.", ctx
            )
    elif settings.copy_style == "none" and settings.version is None:
        raise click.UsageError(
            "--copy-style none sends no code, so nothing says which version the images hold: give --version.", ctx
        )
    if is_deployed and (settings.version or settings.copy_style or not settings.adds_root or settings.root_dir):
        raise click.UsageError(
            "a deployed task has its code already: leave --version (write TASK:VERSION), --copy-style, --root-dir and "
            "--no-sync-local-sys-paths out.",
            ctx,
        )
    if not is_deployed and any(settings.run_place):
        raise click.UsageError("--run-project and --run-domain are for deployed-task: use --project and --domain.", ctx)
    if settings.max_action_concurrency == 1:
        raise click.UsageError("--max-action-concurrency is 0 or at least 2: with 1 a parent would wait for ever.", ctx)
