"""`flyte get secret`: which secrets are kept on this machine. Their values are never shown."""

from __future__ import annotations

from flyte._store.secrets import KeptSecret, SecretStore
from flyte.cli._documents import Column, print_document, print_table
from flyte.cli._invocation import OutputFormat
from flyte.cli._moments import show_local
from flyte.cli._terminal import note
from flyte.config import home


def show_secrets(output: OutputFormat) -> None:
    """The secrets, as a table or a JSON list."""
    kept = SecretStore(home()).list()
    if output.is_document:
        print_document([_document(each) for each in kept], output)
    elif kept:
        rows = [[each.key, each.group or "", show_local(each.created_at)] for each in kept]
        print_table(
            [Column("Name", is_kept_whole=True), Column("Group", is_optional=True), Column("Kept")], rows, output
        )
    else:
        note("No secret is kept on this machine: `flyte create secret NAME` keeps one.")


def _document(kept: KeptSecret) -> dict[str, str | None]:
    return {"name": kept.key, "group": kept.group, "kept": kept.created_at.isoformat()}
