"""`flyte whoami`: whom the control plane takes the caller for."""

from __future__ import annotations

import rich_click as click

from flyte.cli._commands import Command
from flyte.cli._invocation import current_invocation


@click.command(cls=Command)
def whoami() -> None:
    """Show whom the control plane takes you for."""
    from flyte.cli._documents import print_details, print_document
    from flyte.cli._plane import connect
    from flyte.remote import User

    connect()
    user = User.get()
    output = current_invocation().output
    if output.is_document:
        print_document({"subject": user.subject(), "name": user.name(), "email": user.pb2.email}, output)
    else:
        print_details([("Subject", user.subject()), ("Name", user.name()), ("Email", user.pb2.email)])
