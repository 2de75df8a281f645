"""`flyte deploy`: the tasks of a file or a folder become known to a control plane."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from flyte.cli._commands import Command, refused
from flyte.cli._invocation import current_invocation
from flyte.cli._options import place_options


@click.command(cls=Command, name="deploy", options_metavar="[OPTIONS]")
@click.argument("place", metavar="FILE|DIR ENV_VARIABLE", nargs=-1, required=True)
@place_options
@click.option("--version", metavar="TEXT", help="Version of the tasks; default that of their code.")
@click.option("--dry-run", "--dryrun", "is_dry_run", is_flag=True, help="Say what would be deployed; send nothing.")
@click.option(
    "--copy-style",
    type=click.Choice(["loaded_modules", "all", "none", "custom"]),
    default="loaded_modules",
    show_default=True,
    help="Which code is sent; with none, images hold it, and --version says which.",
)
@click.option(
    "--root-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder that modules are imported and named from; default the file's own.",
)
@click.option("-r", "--recursive", is_flag=True, help="All environments in a folder and the folders below it.")
@click.option("--all", "is_all", is_flag=True, help="All environments of the file, or of the files in the folder.")
@click.option("-i", "--ignore-load-errors", is_flag=True, help="In a folder, leave out files that cannot be imported.")
@click.option(
    "--image",
    "images",
    metavar="NAME=ADDRESS",
    multiple=True,
    help="What Image.from_ref_name stands for; without a name, `default`. Repeatable.",
)
@refused(
    "--no-sync-local-sys-paths",
    takes_value=False,
    why="has nothing to leave out: tasks import from the root of the code.",
)
def deploy(
    place: tuple[str, ...],
    version: str | None,
    is_dry_run: bool,
    copy_style: str,
    root_dir: Path | None,
    recursive: bool,
    is_all: bool,
    ignore_load_errors: bool,
    images: tuple[str, ...],
) -> None:
    """Deploy the tasks of an environment, and of those it depends on, with their triggers.

    Options come before FILE. flyte deploy FILE lists the environments of a file. A version that is there stays.
    """
    from flyte.cli._deployment import NewDeployment, deploy_selected
    from flyte.cli._environment_selection import Selection

    if copy_style == "none" and version is None:
        raise click.UsageError(
            "--copy-style none sends no code, so nothing says which version the images hold: give --version."
        )
    selection = Selection(place, root_dir, is_all, recursive, ignore_load_errors)
    new = NewDeployment(selection, version, copy_style, images, is_dry_run=is_dry_run)
    deploy_selected(new, current_invocation().output)
