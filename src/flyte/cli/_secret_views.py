"""`flyte get secret`: which secrets there are, on this machine or on a control plane. Their values are never shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from typing import TYPE_CHECKING, Any

from flyte._store.secrets import KeptSecret, SecretStore
from flyte.cli._documents import Column, print_document, print_table
from flyte.cli._errors import CommandError
from flyte.cli._invocation import OutputFormat
from flyte.cli._moments import show_local
from flyte.cli._plane import connect, refuse_place
from flyte.cli._plane_records import near_names
from flyte.cli._project_views import check_place
from flyte.cli._terminal import note
from flyte.config import home

if TYPE_CHECKING:
    from flyte.remote import Secret


def show_secrets(name: str | None, output: OutputFormat) -> None:
    """The secrets of this machine, or those of a name, as a table or a JSON list.

    Raises:
        CommandError: there is none of that name.
    """
    refuse_place()
    kept = [each for each in SecretStore(home()).list() if name in (None, each.key)]
    if name is not None and not kept:
        names = [each.key for each in SecretStore(home()).list()]
        raise CommandError(f"no secret {name!r} is kept on this machine.{near_names(name, lambda: names)}")
    if output.is_document:
        print_document([_document(each) for each in kept], output)
    elif kept:
        rows = [[each.key, each.group or "", show_local(each.created_at)] for each in kept]
        print_table(
            [Column("Name", is_kept_whole=True), Column("Group", is_optional=True), Column("Kept")], rows, output
        )
    else:
        note("No secret is kept on this machine: `flyte create secret NAME` keeps one.")


def show_plane_secrets(name: str | None, output: OutputFormat) -> None:
    """The secrets of the control plane, or the one of a name, as a table or a JSON list.

    Raises:
        CommandError: there is none of that name.
    """
    from flyte.remote import Secret

    connect()
    if name is None:
        found = list(Secret.listall(limit=-1))
    else:
        with known_secret(name):
            found = [Secret.get(name)]
    if not found:
        check_place()
    if output.is_document:
        print_document([_plane_document(each) for each in found], output)
    elif found:
        columns = [Column("Name", is_kept_whole=True), Column("Type"), Column("Of", is_optional=True), Column("Kept")]
        print_table(columns, [_plane_row(each) for each in found], output)
    else:
        note("The control plane keeps no secret there: `flyte create secret NAME` keeps one.")


@contextmanager
def known_secret(name: str) -> Iterator[None]:
    """A block in which the control plane is expected to have that secret.

    Raises:
        CommandError: it has not; near names are offered.
    """
    from flyte._rpc.failures import NOT_FOUND
    from flyte.errors import UnionRpcError
    from flyte.remote import Secret

    try:
        yield
    except UnionRpcError as error:
        if error.code != NOT_FOUND:
            raise
        near = near_names(name, lambda: [each.name for each in Secret.listall(limit=-1)])
        raise CommandError(f"there is no secret {name!r} there.{near}") from None


def _plane_row(secret: Secret) -> list[str]:
    where = secret.pb2.id
    created = secret.pb2.secret_metadata.created_time.ToDatetime(tzinfo=UTC)
    return [secret.name, secret.type, "/".join(filter(None, (where.project, where.domain))), show_local(created)]


def _plane_document(secret: Secret) -> dict[str, Any]:
    where = secret.pb2.id
    created = secret.pb2.secret_metadata.created_time.ToDatetime(tzinfo=UTC)
    return {
        "name": secret.name,
        "type": secret.type,
        "project": where.project or None,
        "domain": where.domain or None,
        "kept": created.isoformat(),
    }


def _document(kept: KeptSecret) -> dict[str, str | None]:
    return {"name": kept.key, "group": kept.group, "kept": kept.created_at.isoformat()}
