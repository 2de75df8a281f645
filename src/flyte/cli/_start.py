"""`flyte start`, `flyte stop`, `flyte status`: the server of this machine."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from flyte.cli._commands import Command, Group, refused
from flyte.cli._invocation import current_invocation
from flyte.cli._options import F, duration, priority, quantity_of_bytes, quantity_of_cores

if TYPE_CHECKING:
    from flyte._server.instances import Instance
    from flyte._server.settings import ServerSettings

_MIB = 1 << 20
_ABSENT = {"tui": "is not there yet: `flyte get run` and `flyte get logs --follow` show what goes on."}
_NO_CONTAINER = "has no meaning here: the server is a process of this machine, not a container."


def _home_option(command: F) -> F:
    return click.option(
        "--home",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="Folder where the server keeps everything. [default: FLYTE_HOME, else ~/.flyte]",
    )(command)


@click.group(cls=Group, invoke_without_command=True, no_args_is_help=False, absent=_ABSENT)
@_home_option
@click.option("--host", default="localhost", show_default=True, metavar="ADDRESS", help="Address to listen at.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=30080,
    show_default=True,
    help="Port to listen at; 0 for a free one.",
)
@click.option("--detach", is_flag=True, help="Run in the background: return when the server is ready.")
@click.option(
    "--image",
    "images",
    multiple=True,
    metavar="PATTERN=DIR",
    help="Virtual environment that stands for images of that name, in which * stands for anything. May be repeated.",
)
@click.option(
    "--queue",
    "queues",
    type=priority,
    multiple=True,
    metavar="NAME=PRIORITY",
    help="Priority of a queue, a whole number: the higher goes first, others have 0. May be repeated.",
)
@click.option(
    "--cpu",
    "cpu_millis",
    type=quantity_of_cores,
    metavar="CORES",
    help="How much of the processors attempts take together, for example 4 or 500m. [default: what the machine has]",
)
@click.option(
    "--memory",
    "memory_bytes",
    type=quantity_of_bytes,
    metavar="SIZE",
    help="How much memory attempts take together, for example 16Gi. [default: what the machine has]",
)
@click.option("--require-token", "requires_token", is_flag=True, help="Requests of this machine need a token, too.")
@click.option(
    "--tls-cert",
    type=click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path),
    metavar="FILE",
    help="Serve HTTPS with this certificate (PEM, with those above it).",
)
@click.option(
    "--tls-key",
    type=click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path),
    metavar="FILE",
    help="Key of the certificate. [default: it is in the same file]",
)
@click.option(
    "--host-name",
    "host_names",
    multiple=True,
    metavar="NAME",
    help="Name by which clients reach the server, beside localhost and that of this machine. May be repeated.",
)
@click.option(
    "--max-request-mib", type=click.IntRange(1, 2047), default=32, show_default=True, help="Largest call, in MiB."
)
@click.option(
    "--max-upload-mib", type=click.IntRange(1), default=10 * 1024, show_default=True, help="Largest file, in MiB."
)
@click.option(
    "--max-streams", type=click.IntRange(1), default=2000, show_default=True, help="Open streams of one peer."
)
@click.option(
    "--rate-limit",
    "rate_per_s",
    type=click.FloatRange(min=0, min_open=True),
    metavar="NUMBER",
    help="Requests a second of one peer. [default: 500 of another machine, any number of this one]",
)
@click.option(
    "--drain",
    type=duration,
    metavar="DURATION",
    help="How long a stop waits for attempts that run, for example 30s. [default: it does not]",
)
@click.option(
    "--log-format",
    type=click.Choice(["console", "json"]),
    default="console",
    show_default=True,
    help="Form of the log.",
)
@click.option("--access-log", "logs_access", is_flag=True, help="Log each request.")
@click.pass_context
def start(
    ctx: click.Context,
    home: Path | None,
    host: str,
    port: int,
    detach: bool,
    images: tuple[str, ...],
    queues: tuple[tuple[str, int], ...],
    cpu_millis: int | None,
    memory_bytes: int | None,
    requires_token: bool,
    tls_cert: Path | None,
    tls_key: Path | None,
    host_names: tuple[str, ...],
    max_request_mib: int,
    max_upload_mib: int,
    max_streams: int,
    rate_per_s: float | None,
    drain: timedelta | None,
    log_format: str,
    logs_access: bool,
) -> None:
    """Run the control plane on this machine, until Ctrl-C or `flyte stop`.

    Everything is in the home folder: a server that is killed goes on where it was when it is started again.
    """
    from flyte._server.settings import ServerSettings

    local = current_invocation().config.local
    settings = ServerSettings(
        home=_home(home),
        host=host,
        port=port,
        tls_cert=tls_cert,
        tls_key=tls_key,
        requires_token=requires_token,
        host_names=host_names,
        images=tuple(map(_with_absolute_folder, images)),
        queues=_priorities(queues),
        cpu_millis=cpu_millis,
        memory_bytes=memory_bytes,
        retention_days=local.retention_days,
        retention_runs=local.retention_runs,
        max_request_bytes=max_request_mib * _MIB,
        max_upload_bytes=max_upload_mib * _MIB,
        max_streams=max_streams,
        rate_per_s=rate_per_s,
        drain_s=drain.total_seconds() if drain is not None else 0.0,
        log_format=log_format,
        logs_access=logs_access,
    )
    if ctx.invoked_subcommand is not None:
        ctx.obj = current_invocation()
        ctx.meta["flyte.server_settings"] = settings
    elif detach:
        _start_detached(settings)
    else:
        from flyte._server.process import run_server

        ctx.exit(run_server(settings, _tell_ready))


@start.command(cls=Command, name="devbox")
@refused("--image", why="is given to `flyte start` here: `flyte start --image PATTERN=DIR devbox`.")
@refused("--dev", takes_value=False, why=_NO_CONTAINER)
@refused("--gpu", takes_value=False, why="goes without saying: tasks use the graphics processors of this machine.")
@refused("--apple-silicon", takes_value=False, why=_NO_CONTAINER)
@click.pass_context
def start_devbox(ctx: click.Context) -> None:
    """Start the server in the background, if it does not run yet: `flyte start --detach`."""
    from flyte._server.instances import running_instance

    settings: ServerSettings = ctx.meta["flyte.server_settings"]
    instance = running_instance(settings.home)
    if instance is not None:
        _tell_ready(instance)
    else:
        _start_detached(settings)


@click.group(cls=Group, invoke_without_command=True, no_args_is_help=False)
@_home_option
@click.option(
    "--within",
    type=duration,
    default="60s",
    show_default=True,
    metavar="DURATION",
    help="How long the server may take; then it is killed, which loses nothing.",
)
@click.option(
    "--keep-attempts",
    "keeps_attempts",
    is_flag=True,
    help="Attempts that run go on, and meet the next server: for a restart within ten minutes, at the same port.",
)
def stop(home: Path | None, within: timedelta, *, keeps_attempts: bool) -> None:
    """Stop the server of this machine. What runs is ended, and started again by the next one."""
    from flyte._server.daemon import stop_server
    from flyte.cli._terminal import note

    folder = _home(home)
    instance = stop_server(folder, within.total_seconds(), leaves_attempts=keeps_attempts)
    if instance is None:
        note(f"No server of {folder} runs.")
    else:
        note(f"The server at {instance.url} (process {instance.pid}) has stopped.")


@stop.command(cls=Command, name="devbox")
def stop_devbox() -> None:
    """The same as `flyte stop`."""


@click.command(cls=Command)
@_home_option
@click.pass_context
def status(ctx: click.Context, home: Path | None) -> None:
    """Tell whether a server runs, where, and what it does. The exit code is 1 when none runs."""
    from flyte.cli._server_status import show_status

    ctx.exit(show_status(_home(home), current_invocation().output))


def _start_detached(settings: ServerSettings) -> None:
    from flyte._server.daemon import start_detached

    _tell_ready(start_detached(settings))


def _tell_ready(instance: Instance) -> None:
    from flyte.cli._terminal import note

    print(instance.url)
    sys.stdout.flush()
    note(f"The server is ready (process {instance.pid}). `flyte stop` stops it.")


def _home(given: Path | None) -> Path:
    from flyte.config import home

    return home() if given is None else given.expanduser().absolute()


def _priorities(queues: tuple[tuple[str, int], ...]) -> dict[str, int]:
    priorities: dict[str, int] = {}
    for name, number in queues:
        if priorities.setdefault(name, number) != number:
            raise click.UsageError(
                f"--queue gives {name!r} the priorities {priorities[name]} and {number}: give it one."
            )
    return priorities


def _with_absolute_folder(image: str) -> str:
    pattern, separator, folder = image.rpartition("=")
    return f"{pattern}={Path(folder).expanduser().absolute()}" if separator else image
