"""`flyte backup` and `flyte restore`."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from flyte.cli._commands import Command
from flyte.cli._invocation import current_invocation


@click.command(cls=Command)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE")
def backup(file: Path) -> None:
    """Write all runs, their data, secrets and settings into one archive.

    Runs and a control plane may go on meanwhile. The archive holds secrets with their key: keep it where only you can
    read it.
    """
    from flyte._run.backups import back_up
    from flyte.cli._cache_views import show_size
    from flyte.cli._documents import print_document
    from flyte.cli._moments import show_count
    from flyte.cli._terminal import note
    from flyte.config import home

    made, output = back_up(home(), file), current_invocation().output
    if output.is_document:
        document = {"file": str(file), "runs": made.runs, "files": made.files, "size_bytes": made.size_bytes}
        print_document({**document, "left_out": list(made.left_out)}, output)
        return
    print(f"{file}: {show_count(made.runs, 'run')} and {show_count(made.files, 'file')}, {show_size(made.size_bytes)}")
    for name in made.left_out:
        note(f"Left out, a link or gone by now: {name}")


@click.command(cls=Command)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE")
def restore(file: Path) -> None:
    """Bring back what `flyte backup` has written, into a home folder that is empty.

    Addresses of stored files are those of the folder that was backed up: restore to the same place, or say where it
    went with _F_PATH_REWRITE.
    """
    from flyte._run.backups import restore as bring_back
    from flyte.cli._documents import print_document
    from flyte.cli._moments import show_count
    from flyte.config import home

    brought, output = bring_back(file, home()), current_invocation().output
    if output.is_document:
        print_document({"home": str(home()), "runs": brought.runs, "files": brought.files}, output)
        return
    print(f"{home()}: {show_count(brought.runs, 'run')} and {show_count(brought.files, 'file')}")
