"""`flyte create`: what is kept on this machine for tasks to use."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import rich_click as click

from flyte.cli._commands import Command, Group, refused
from flyte.cli._errors import CommandError
from flyte.cli._invocation import current_invocation
from flyte.cli._options import assignment, place_options

_REGISTRIES = "is not there: give the login as a file, with --type image_pull --from-file FILE."

_ABSENT = {"artifact": "is not there: this release keeps no artifacts."}


@click.group(
    cls=Group,
    absent=_ABSENT,
)
def create() -> None:
    """Create projects, secrets, triggers and a configuration."""


@create.command(cls=Command, name="secret")
@click.argument("key", metavar="NAME")
@click.option("--group", metavar="GROUP", help="Group of the secret, as in `flyte.Secret(key, group=...)`.")
@click.option("--value", metavar="TEXT", help="The value. It stays in the shell's history: leave it out to be asked.")
@click.option(
    "--from-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Take the value from a file, byte for byte.",
)
@click.option(
    "--type",
    "kind",
    type=click.Choice(["regular", "image_pull"]),
    default="regular",
    show_default=True,
    help="Of a control plane: for tasks, or to pull images with.",
)
@place_options
@refused("--cluster-pool", why="is not there: this release knows no pools of clusters.")
@refused("--from-docker-config", takes_value=False, why=_REGISTRIES)
@refused("--docker-config-path", why=_REGISTRIES)
@refused("--registry", why=_REGISTRIES)
@refused("--registries", why=_REGISTRIES)
@refused("--username", why=_REGISTRIES)
@refused("--password", why=_REGISTRIES)
def create_secret(
    key: str, group: str | None, value: str | None, from_file: Path | None, kind: Literal["regular", "image_pull"]
) -> None:
    """Keep a secret, in place of what was under that name: on this machine, or on the control plane that is configured.

    A task gets it as an environment variable: `flyte.Secret(key, as_env_var=...)`. On this machine it is a file that
    only you can read, in the `secrets` folder of FLYTE_HOME, for local runs and those that are served here.
    """
    from flyte._store.secrets import SecretStore
    from flyte.cli._plane import connect, is_configured, refuse_place
    from flyte.cli._terminal import note
    from flyte.config import home

    is_kept_here = not is_configured()
    if is_kept_here:
        refuse_place()
        if kind != "regular":
            raise click.UsageError("--type image_pull is for a control plane, and none is configured: leave it out.")
    elif group is not None:
        raise click.UsageError("--group is for secrets of this machine: a control plane knows none. Leave it out.")
    if value is not None and from_file is not None:
        raise click.UsageError("give the value with --value or with --from-file, not with both.")
    if from_file is not None:
        content = from_file.read_bytes()
    else:
        content = (value if value is not None else click.prompt("Value", hide_input=True)).encode()
    if is_kept_here:
        SecretStore(home()).put(key, group, content)
        note(f"Secret {key} is kept on this machine.")
        return
    from flyte.remote import Secret

    connect()
    try:
        Secret.create(key, content if from_file is not None else content.decode(), kind)
    except ValueError as error:
        raise CommandError(str(error)) from None
    note(f"Secret {key} is kept on the control plane.")


@create.command(cls=Command, name="project")
@click.option("--id", "project_id", required=True, metavar="ID", help="What runs and tasks name it by.")
@click.option("--name", required=True, metavar="TEXT", help="What people call it.")
@click.option("--description", default="", metavar="TEXT", help="What it is for.")
@click.option("-l", "--label", "labels", type=assignment, metavar="KEY=VALUE", multiple=True, help="Label; repeatable.")
def create_project(project_id: str, name: str, description: str, labels: tuple[tuple[str, str], ...]) -> None:
    """Create a project on the control plane."""
    from flyte.cli._plane import connect
    from flyte.cli._project_views import show_project
    from flyte.remote import Project

    connect()
    Project.create(project_id, name, description, dict(labels))
    show_project(project_id, current_invocation().output)


@create.command(cls=Command, name="trigger")
@click.argument("task_name", metavar="TASK")
@click.argument("name")
@click.option("--schedule", required=True, metavar="CRON", help="When it fires: five fields, such as `0 8 * * 1-5`.")
@click.option("--description", default="", metavar="TEXT", help="What it is for.")
@click.option("--auto-activate", type=bool, default=True, show_default=True, help="Let it fire by itself from now on.")
@click.option(
    "--trigger-time-var",
    default="trigger_time",
    show_default=True,
    metavar="INPUT",
    help="Input of the task that gets the time it fires at, where there is one of that name.",
)
@place_options
def create_trigger(
    task_name: str, name: str, schedule: str, description: str, auto_activate: bool, trigger_time_var: str
) -> None:
    """Give a deployed task a trigger that fires at certain times, in place of one of its name."""
    from flyte.cli._trigger_creation import NewTrigger
    from flyte.cli._trigger_creation import create_trigger as create_now

    new = NewTrigger(task_name, name, schedule, description, auto_activate, trigger_time_var)
    create_now(new, current_invocation().output)


@create.command(cls=Command, name="config")
@click.option(
    "--devbox", "is_devbox", is_flag=True, help="For the control plane of this machine, at its usual address."
)
@click.option("--endpoint", metavar="ADDRESS", help="Address of the control plane.")
@click.option("--insecure", is_flag=True, help="Call it without TLS.")
@click.option("--org", metavar="NAME", help="Organisation.")
@click.option("-p", "--project", metavar="NAME", help="Project of runs.")
@click.option("-d", "--domain", metavar="NAME", help="Domain of runs.")
@click.option(
    "--image-builder", "--builder", "builder", default="local", show_default=True, metavar="NAME", help="Builds images."
)
@click.option("--registry", metavar="NAME", help="Where built images go.")
@click.option("--auth-type", metavar="TYPE", help="How a token for the control plane is got.")
@click.option("--local-persistence", is_flag=True, help="Written for official clients: here every run is recorded.")
@click.option(
    "-o",
    "--output",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path(".flyte/config.yaml"),
    show_default=True,
    help="The file.",
)
@click.option("--force", is_flag=True, help="Do not ask before a file is replaced.")
@refused("--local-tracked", takes_value=False, why="is not there: a local run is recorded on this machine alone.")
def create_config(file: Path, force: bool, **settings: Any) -> None:
    """Write a configuration file."""
    from flyte.cli._config_file import NewConfig, write_config

    write_config(NewConfig(**settings), file, is_forced=force)


@create.command(cls=Command, name="token")
@click.argument("name", metavar="NAME")
def create_token(name: str) -> None:
    """Print a new token that lets its holder use the server of this home, also from other machines.

    It is shown this once: only its hash is kept. A running server knows it at once. NAME is who its holder is there.
    """
    from flyte._server.tokens import TokenStore
    from flyte.cli._terminal import note
    from flyte.config import home

    token = TokenStore(home()).create(name)
    print(token, flush=True)
    note(f"Token {name} is sent as `authorization: Bearer TOKEN`. `flyte delete token {name}` ends it.")
