"""`flyte edit`: what a control plane keeps, changed in an editor."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from flyte.cli._commands import Command, Group
from flyte.cli._invocation import current_invocation
from flyte.cli._options import place_options


@click.group(cls=Group)
def edit() -> None:
    """Change what the control plane keeps."""


@edit.command(cls=Command, name="settings")
@click.option(
    "-f",
    "--from-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Take them from a YAML file, as `flyte get settings --to-file` writes one.",
)
@place_options
def edit_settings(from_file: Path | None) -> None:
    """Change the settings of the control plane; with --domain, or that and --project, of that place."""
    from flyte.cli._settings_views import edit_settings as edit_now

    edit_now(from_file, current_invocation().output)
