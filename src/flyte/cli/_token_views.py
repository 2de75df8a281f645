"""`flyte get token`: who may use the server of a home."""

from __future__ import annotations

from flyte._server.tokens import TokenStore
from flyte.cli._documents import Column, print_document, print_table
from flyte.cli._invocation import OutputFormat
from flyte.cli._moments import show_local
from flyte.cli._terminal import note
from flyte.config import home


def show_tokens(output: OutputFormat) -> None:
    """The names of the tokens, as a table or a JSON list."""
    kept = TokenStore(home()).list()
    if output.is_document:
        print_document([{"name": each.name, "created_at": each.created_at.isoformat()} for each in kept], output)
    elif kept:
        rows = [[each.name, show_local(each.created_at)] for each in kept]
        print_table([Column("Name", is_kept_whole=True), Column("Created")], rows, output)
    else:
        note("There is no token: `flyte create token NAME` makes one.")
