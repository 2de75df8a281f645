"""`flyte bundle`: what a code bundle would hold, and why."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from flyte.cli._commands import Command
from flyte.cli._invocation import current_invocation


@click.command(cls=Command)
@click.argument("source", metavar="FILE|DIR", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--copy-style",
    type=click.Choice(["loaded_modules", "all", "custom"]),
    help="loaded_modules: what importing FILE imports from below the root; all: every file below the root that no rule "
    "leaves out; custom: what environments include. [default: loaded_modules for a file, all for a folder]",
)
@click.option(
    "--root-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder that paths in the bundle are relative to. [default: DIR; for a file, the current folder if the file "
    "is below it, else the folder that its modules are imported from]",
)
@click.option(
    "--output",
    "archive",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also write the archive there; into a folder under its own name.",
)
def bundle(source: Path, copy_style: str | None, root_dir: Path | None, archive: Path | None) -> None:
    """Show which files a code bundle would hold, how large they are, why each is in, and what is left out.

    Nothing is uploaded. FILE is imported, as `flyte run FILE` does it.
    """
    from flyte.cli._bundle_view import show_bundle

    is_file = source.is_file()
    style = copy_style or ("loaded_modules" if is_file else "all")
    if not is_file and style != "all":
        raise click.UsageError(
            f"--copy-style {style} depends on what a file imports: name the FILE and not its folder."
        )
    show_bundle(source, style, root_dir, archive, current_invocation().output)
