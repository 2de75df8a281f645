"""Deploying environments from the command line, and telling what was deployed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flyte.cli._documents import Column, print_document, print_table
from flyte.cli._environment_selection import Selection, environments_of, list_environments, path_of
from flyte.cli._errors import CommandError
from flyte.cli._invocation import OutputFormat, RunSettings
from flyte.cli._moments import show_count
from flyte.cli._plane import connect, is_configured
from flyte.cli._run import prepare_process
from flyte.cli._terminal import note

if TYPE_CHECKING:
    from flyte._run.deploying import DeployedTask


@dataclass(frozen=True, slots=True)
class NewDeployment:
    """The options of `flyte deploy`."""

    selection: Selection
    version: str | None
    copy_style: str
    images: tuple[str, ...]
    is_dry_run: bool


def deploy_selected(new: NewDeployment, output: OutputFormat) -> None:
    """The tasks of the environments that are meant are deployed, and told.

    Raises:
        CommandError: there is no such file, folder or environment, or it cannot be deployed as it is.
    """
    from flyte._run.deploying import deploy

    selection = new.selection
    prepare_process(RunSettings(root_dir=selection.root_dir))
    path, variable = path_of(selection)
    if path.is_file() and variable is None and not selection.is_all:
        list_environments(path, selection, output, "deploys")
        return
    chosen = list(environments_of(path, variable, selection))
    if not chosen:
        note(f"{path} has no environments: nothing is deployed.")
        return
    if not new.is_dry_run or is_configured():
        connect(root_dir=selection.root_dir, images=new.images)
    try:
        deployments = deploy(*chosen, dry_run=new.is_dry_run, version=new.version, copy_style=new.copy_style)
    except (TypeError, ValueError) as error:
        raise CommandError(str(error)) from None
    # What several depend on is deployed once.
    found = {
        (name, task.name): task
        for each in deployments
        for name, env in each.envs.items()
        for task in env.deployed_entities
    }
    if output.is_document:
        print_document([_document(name, task, new) for (name, _), task in found.items()], output)
        return
    columns = [
        Column("Environment"),
        Column("Task", is_kept_whole=True),
        Column("Version", is_kept_whole=True),
        Column("Triggers", is_optional=True),
        Column("", is_optional=True),
    ]
    print_table(columns, [_row(name, task) for (name, _), task in found.items()], output)
    verb = "Would deploy" if new.is_dry_run else "Deployed"
    note(f"{verb} {show_count(len(found), 'task')}. To run one: flyte run deployed-task {next(iter(found))[1]}")
    if any(not task.is_new for task in found.values()):
        note("A version that was there stays as it is, whatever its code is now: choose another with --version.")


def _row(environment: str, task: DeployedTask) -> list[str]:
    triggers = ", ".join(each.name for each in task.deployed_triggers)
    return [environment, task.name, task.version, triggers, "" if task.is_new else "was there"]


def _document(environment: str, task: DeployedTask, new: NewDeployment) -> dict[str, Any]:
    return {
        "environment": environment,
        "task": task.name,
        "version": task.version,
        "triggers": [each.name for each in task.deployed_triggers],
        "is_new": task.is_new and not new.is_dry_run,
        "url": task.url or None,
    }
