"""`flyte` itself: its options and the commands below it."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import rich_click as click

from flyte._version import __version__
from flyte.cli._commands import RootGroup, refused
from flyte.cli._invocation import Invocation, OutputFormat

_ABSENT = {
    "gen": "is not there: `flyte COMMAND --help` describes each command.",
    "prefetch": "is not there: this release keeps no artifacts; download models in a task.",
    "proxy": "is not there: this release serves no apps.",
    "serve": "is not there: this release serves no apps.",
}
_LEVELS = {1: logging.WARNING, 2: logging.INFO, 3: logging.DEBUG}


def _help_settings() -> dict[str, object]:
    # Without a colour system, rich writes no codes at all; with `NO_COLOR` alone it still writes bold and dim.
    plain = {"color_system": None} if os.environ.get("NO_COLOR") else {}
    return {"force_terminal": None, "max_width": 120, "text_markup": "ansi", **plain}


@click.group(
    cls=RootGroup,
    members={
        "abort": "flyte.cli._abort:abort",
        "backup": "flyte.cli._backup:backup",
        "build": "flyte.cli._build:build",
        "bundle": "flyte.cli._bundle:bundle",
        "create": "flyte.cli._create:create",
        "delete": "flyte.cli._delete:delete",
        "deploy": "flyte.cli._deploy:deploy",
        "edit": "flyte.cli._edit:edit",
        "explain": "flyte.cli._explain:explain",
        "get": "flyte.cli._get:get",
        "rerun": "flyte.cli._rerun:rerun",
        "restore": "flyte.cli._backup:restore",
        "resume": "flyte.cli._resume:resume",
        "run": "flyte.cli._run:run",
        "signal": "flyte.cli._signal:signal",
        "start": "flyte.cli._start:start",
        "status": "flyte.cli._start:status",
        "stop": "flyte.cli._start:stop",
        "update": "flyte.cli._update:update",
        "whoami": "flyte.cli._whoami:whoami",
    },
    absent=_ABSENT,
    context_settings={"help_option_names": ["-h", "--help"], "rich_help_config": _help_settings()},
)
@click.version_option(__version__, message="Flyte SDK version: %(version)s", help="Show the version.")
@click.option("--endpoint", metavar="ADDRESS", help="Address of a control plane. Wins over the configuration.")
@click.option("--insecure/--secure", "insecure", default=None, help="Call the control plane without, or with TLS.")
@click.option("--org", metavar="NAME", help="Organisation recorded with runs. Wins over the configuration.")
@click.option(
    "--auth-type",
    metavar="TYPE",
    help="How a token for the control plane is got: external-command or passthrough. FLYTE_API_KEY is sent.",
)
@click.option(
    "-c",
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Configuration file, instead of the first one found.",
)
@click.option(
    "-of",
    "--output-format",
    "output",
    type=click.Choice([each.value for each in OutputFormat]),
    default=OutputFormat.TABLE.value,
    show_default=True,
    help="json and json-raw are for programs; table-simple draws no lines.",
)
@click.option("--no-progress", is_flag=True, help="Show nothing while a run goes on.")
@click.option("-v", "--verbose", count=True, help="Log more: -v warnings, -vv information, -vvv all, with tracebacks.")
@click.option(
    "--user-log-level",
    type=click.Choice(["debug", "info", "warning", "error", "critical"]),
    help="Level of `flyte.logger`. [default: info]",
)
@click.option(
    "--image-builder",
    "--builder",
    "image_builder",
    type=click.Choice(["venv", "local", "docker", "local-podman", "remote"]),
    help="What builds images. Wins over the configuration.",
)
@refused("--log-format", why="is not there yet: logs are plain lines on stderr.")
@refused("--reset-root-logger", takes_value=False, why="is not there yet: the root logger stays as it is.")
@click.pass_context
def flyte(
    ctx: click.Context,
    endpoint: str | None,
    insecure: bool | None,
    auth_type: str | None,
    image_builder: str | None,
    org: str | None,
    config: Path | None,
    output: str,
    no_progress: bool,
    verbose: int,
    user_log_level: str | None,
) -> None:
    """Run typed Python tasks, and look at the runs afterwards.

    Start with a file of tasks: flyte run FILE TASK. Without a file of your own: flyte run hello. Runs are served by the
    control plane that is configured, or by that of this machine; with flyte run --local they need none.
    """
    ctx.obj = Invocation(
        output=OutputFormat(output),
        config_file=config,
        endpoint=endpoint,
        insecure=insecure,
        auth_type=auth_type,
        image_builder=image_builder,
        org=org,
        shows_progress=not no_progress,
        log_level=_LEVELS.get(min(verbose, 3)),
        user_log_level=getattr(logging, user_log_level.upper()) if user_log_level else None,
    )
