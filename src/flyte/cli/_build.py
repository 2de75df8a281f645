"""`flyte build`: the images of the environments in a file or a folder."""

from __future__ import annotations

from pathlib import Path

import rich_click as click
from click.exceptions import Exit

from flyte.cli._commands import Command
from flyte.cli._invocation import current_invocation

_COPY_STYLES = ("loaded_modules", "all", "none", "custom")
_BUILDERS = ("venv", "local", "docker", "local-podman", "remote")


@click.command(
    cls=Command,
    name="build",
    options_metavar="[OPTIONS]",
)
@click.argument("place", metavar="FILE|DIR ENV_VARIABLE", nargs=-1, required=True)
@click.option(
    "--copy-style",
    type=click.Choice(_COPY_STYLES),
    default="loaded_modules",
    show_default=True,
    help="How runs get the code; with none, it has to be in images that have a layer for it.",
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
    "--image-builder",
    "--builder",
    "builder",
    type=click.Choice(_BUILDERS),
    help="venv makes environments, and so does local; docker calls Docker. Wins over the configuration.",
)
@click.option("--force", is_flag=True, help="Build environments that are there, too.")
@click.option("--dry-run", is_flag=True, help="Check that they can be built, and build nothing.")
def build(
    place: tuple[str, ...],
    copy_style: str,
    root_dir: Path | None,
    recursive: bool,
    is_all: bool,
    ignore_load_errors: bool,
    builder: str | None,
    force: bool,
    dry_run: bool,
) -> None:
    """Build the image of an environment and of those it depends on.

    Options come before FILE. flyte build FILE lists the environments of a file.
    """
    from flyte._image.building import BuildRequest
    from flyte.cli._environment_selection import Selection
    from flyte.cli._image_building import build_selected
    from flyte.cli._invocation import RunSettings
    from flyte.cli._run import prepare_process
    from flyte.cli._terminal import note

    invocation = current_invocation()
    prepare_process(RunSettings(root_dir=root_dir))
    request = BuildRequest(
        config=invocation.config.image,
        builder=builder,
        dry_run=dry_run,
        force=force,
        bakes_code=copy_style == "none",
        say=note if invocation.shows_progress else lambda text: None,
    )
    selection = Selection(place, root_dir, is_all, recursive, ignore_load_errors)
    if code := build_selected(selection, request, invocation.output):
        raise Exit(code)
