"""Where things are in a control plane: identifiers made of what the session says and what a call names."""

from __future__ import annotations

from urllib.parse import quote

from flyteidl2.common.identifier_pb2 import ActionIdentifier, ProjectIdentifier, RunIdentifier, TriggerName
from flyteidl2.task.task_definition_pb2 import TaskIdentifier, TaskName

from flyte._rpc.sessions import Session
from flyte._rpc.settings import session_settings

ROOT_ACTION = "a0"


def project_id(session: Session, project: str | None = None, domain: str | None = None) -> ProjectIdentifier:
    """The project that is named, or else that of the session."""
    return ProjectIdentifier(organization=session.org, name=project or session.project, domain=domain or session.domain)


def run_id(session: Session, name: str, project: str | None = None, domain: str | None = None) -> RunIdentifier:
    """The run of that name."""
    return RunIdentifier(
        org=session.org, project=project or session.project, domain=domain or session.domain, name=name
    )


def action_id(session: Session, run_name: str, name: str) -> ActionIdentifier:
    """An action of a run."""
    return ActionIdentifier(run=run_id(session, run_name), name=name)


def task_name(session: Session, name: str, project: str | None = None, domain: str | None = None) -> TaskName:
    """A task, whatever its version."""
    return TaskName(org=session.org, project=project or session.project, domain=domain or session.domain, name=name)


def task_id(
    session: Session, name: str, version: str, project: str | None = None, domain: str | None = None
) -> TaskIdentifier:
    """A version of a task."""
    return TaskIdentifier(
        org=session.org,
        project=project or session.project,
        domain=domain or session.domain,
        name=name,
        version=version,
    )


def trigger_name(
    session: Session, name: str, task: str, project: str | None = None, domain: str | None = None
) -> TriggerName:
    """A trigger of a task."""
    return TriggerName(
        org=session.org,
        project=project or session.project,
        domain=domain or session.domain,
        name=name,
        task_name=task,
    )


def page_of(kind: str, project: str, domain: str, *parts: str) -> str:
    """The address of a page of the control plane; empty without one.

    Args:
        kind: What the page shows: `runs`, `tasks` or `triggers`.
        project: Where it belongs.
        domain: Where it belongs.
        parts: Names.
    """
    settings = session_settings()
    if settings is None:
        return ""
    console = (settings.console or settings.endpoint.url).rstrip("/")
    names = "/".join(quote(part, safe="") for part in parts)
    return f"{console}/v2/domain/{quote(domain, safe='')}/project/{quote(project, safe='')}/{kind}/{names}"
