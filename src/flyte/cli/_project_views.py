"""`flyte get project`, and what changes projects."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flyte.cli._documents import Column, print_details, print_document, print_table
from flyte.cli._errors import CommandError
from flyte.cli._invocation import OutputFormat
from flyte.cli._plane import connect
from flyte.cli._plane_records import near_names
from flyte.cli._terminal import note


def show_projects(output: OutputFormat, *, are_archived: bool) -> None:
    """The projects, by id."""
    from flyte.remote import Project

    connect()
    found = [each.pb2 for each in Project.listall(archived=are_archived)]
    if output.is_document:
        print_document([_document(each) for each in found], output)
    elif found:
        columns = [
            Column("ID", is_kept_whole=True),
            Column("Name"),
            Column("Domains"),
            Column("Description", is_optional=True),
            Column("Labels", is_optional=True),
        ]
        print_table(columns, [_row(each) for each in found], output)
    else:
        note(f"No project is {'archived' if are_archived else 'there'}.")


def show_project(project_id: str, output: OutputFormat) -> None:
    """One project.

    Raises:
        CommandError: there is none of that id.
    """
    from flyte.remote import Project

    connect()
    with known_project(project_id):
        project = Project.get(project_id).pb2
    if output.is_document:
        print_document(_document(project), output)
        return
    _, name, domains, description, labels = _row(project)
    state = "archived" if _is_archived(project) else "active"
    print_details(
        [
            ("ID", project.id),
            ("Name", name),
            ("State", state),
            ("Domains", domains),
            ("Description", description),
            ("Labels", labels),
        ]
    )


@contextmanager
def known_project(project_id: str) -> Iterator[None]:
    """A block in which that project is expected to be there.

    Raises:
        CommandError: it is not; near names are offered.
    """
    from flyte._rpc.failures import NOT_FOUND
    from flyte.errors import UnionRpcError

    try:
        yield
    except UnionRpcError as error:
        if error.code != NOT_FOUND:
            raise
        near = near_names(project_id, _ids) or " `flyte get project` lists those there are."
        raise CommandError(f"there is no project {project_id!r}.{near}") from None


def check_place() -> None:
    """Nothing, where the project and the domain that the command concerns are there; for listings without an item.

    Raises:
        CommandError: one is not; near names are offered.
    """
    from flyte._rpc.settings import current_session
    from flyte.remote import Project

    session = current_session()
    with known_project(session.project):
        project = Project.get(session.project).pb2
    domains = [each.id for each in project.domains]
    if session.domain not in domains:
        near = near_names(session.domain, lambda: domains) or f" It has {', '.join(domains)}."
        raise CommandError(f"project {session.project!r} has no domain {session.domain!r}.{near}")


def _ids() -> list[str]:
    from flyte.remote import Project

    return [each.id for each in Project.listall()]


def _is_archived(project: Any) -> bool:
    from flyteidl2.project import project_service_pb2 as messages

    return project.state in (messages.PROJECT_STATE_ARCHIVED, messages.PROJECT_STATE_SYSTEM_ARCHIVED)


def _row(project: Any) -> list[str]:
    labels = ", ".join(f"{key}={value}" for key, value in sorted(project.labels.values.items()))
    domains = ", ".join(each.id for each in project.domains)
    return [project.id, project.name, domains, project.description, labels]


def _document(project: Any) -> dict[str, Any]:
    return {
        "id": project.id,
        "name": project.name,
        "domains": [each.id for each in project.domains],
        "description": project.description,
        "labels": dict(project.labels.values),
        "is_archived": _is_archived(project),
    }
