"""`flyte get settings` and `flyte edit settings`: what a control plane keeps for its domains and projects."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyte.cli._documents import Column, print_document, print_table
from flyte.cli._errors import CommandError
from flyte.cli._invocation import OutputFormat, current_invocation
from flyte.cli._literals import show_value
from flyte.cli._plane import connect
from flyte.cli._terminal import is_terminal, note

if TYPE_CHECKING:
    from flyte.remote import Settings


def show_settings(to_file: Path | None, output: OutputFormat) -> None:
    """The settings that hold in the place that is named, or a file of them to edit."""
    settings = _load()
    if to_file is not None:
        to_file.write_text(settings.to_yaml(), encoding="utf-8")
        note(f"The settings of {settings.scope_description()} are in {to_file}.")
    elif output.is_document:
        print_document(settings.to_dict(), output)
    elif settings.effective_settings:
        columns = [Column("Setting", is_kept_whole=True), Column("Value"), Column("Set for")]
        rows = [[each.key, show_value(_plain(each.value)), each.scope] for each in settings.effective_settings]
        print_table(columns, rows, output)
    else:
        note(f"Nothing is set for {settings.scope_description()}: `flyte edit settings` sets something.")


def edit_settings(from_file: Path | None, output: OutputFormat) -> None:
    """The settings of the place that is named are those of a file, or those that somebody leaves in an editor.

    Raises:
        CommandError: they are no settings, or there is nobody to edit them.
    """
    import click

    settings = _load()
    if from_file is not None:
        text = from_file.read_text(encoding="utf-8")
    elif not is_terminal(sys.stdin):
        raise CommandError("settings are edited in a terminal: elsewhere give them with --from-file FILE.")
    else:
        edited = click.edit(_with_keys(settings), extension=".yaml")
        if edited is None:
            note("Nothing was saved in the editor, and nothing is changed.")
            return
        text = edited
    try:
        settings.update_settings(settings.parse_yaml(text))
    except ValueError as error:
        raise CommandError(str(error)) from None
    if output.is_document:
        print_document(settings.local_overrides(), output)
    else:
        print(f"The settings of {settings.scope_description()} are changed.", flush=True)


def _load() -> Settings:
    from flyte.remote import Settings

    connect()
    invocation = current_invocation()
    try:
        return Settings.get_settings_for_edit(project=invocation.project, domain=invocation.domain)
    except ValueError as error:
        raise CommandError(str(error)) from None


def _with_keys(settings: Settings) -> str:
    keys = "\n".join(f"#   {key}" for key in settings.available_keys())
    return f"{settings.to_yaml()}\n# Settings that there are, each as `NAME: VALUE`:\n{keys}\n"


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | dict) else str(value)
