"""`flyte get task`: deployed tasks."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from flyte.cli._documents import Column, print_details, print_document, print_table
from flyte.cli._errors import CommandError
from flyte.cli._invocation import OutputFormat
from flyte.cli._moments import show_local
from flyte.cli._plane import connect
from flyte.cli._plane_records import near_names
from flyte.cli._project_views import check_place
from flyte.cli._terminal import note
from flyte.cli._type_texts import show_type

_NEAR_NAMES_OF = 1000


def show_tasks(name: str | None, limit: int, output: OutputFormat, *, are_entrypoints: bool) -> None:
    """The deployed tasks, or the versions of one, newest first.

    Raises:
        CommandError: no version of the task that is named is deployed.
    """
    from flyte.remote import Task

    connect()
    found = list(Task.listall(by_task_name=name, limit=limit + 1, entrypoint=are_entrypoints or None))
    shown = found[:limit]
    if not found:
        check_place()
    if name is not None and not found:
        raise CommandError(f"no task {name!r} is deployed there.{near_names(name, task_names) or _hint()}")
    if output.is_document:
        print_document([_document(task.pb2) for task in shown], output)
    elif shown:
        columns = [
            Column("Name", is_kept_whole=True),
            Column("Version", is_kept_whole=True),
            Column("Deployed", is_kept_whole=True),
            Column("Triggers", is_optional=True),
            Column("Last run", is_optional=True),
            Column("Description", is_cut=True, is_optional=True),
        ]
        print_table(columns, [_row(task.pb2) for task in shown], output)
    else:
        note(f"No task is deployed there.{_hint()}")
    if len(found) > limit:
        note(f"There are more than these {limit}: --limit shows more.")


def show_task(name: str, version: str, output: OutputFormat) -> None:
    """One version of a task, with its inputs and outputs.

    Raises:
        CommandError: it is not deployed.
    """
    from flyte.errors import RemoteTaskNotFoundError
    from flyte.remote import Task

    connect()
    try:
        details = Task.get(name, version=version).fetch()
    except RemoteTaskNotFoundError as error:
        raise CommandError(f"{error}{near_names(name, task_names)}") from None
    spec = details.pb2.spec
    inputs = {key: show_type(kind) for key, (kind, _) in sorted(details.interface.inputs.items())}
    outputs = {key: show_type(kind) for key, kind in details.interface.outputs.items()}
    if output.is_document:
        document = {
            **_document(details.pb2),
            "type": details.task_type,
            "environment": spec.environment.name,
            "image": spec.task_template.container.image or None,
            "inputs": inputs,
            "required": list(details.required_args),
            "outputs": outputs,
            "secrets": details.secrets,
        }
        print_document(document, output)
        return
    pairs = [
        ("Task", details.name),
        ("Version", details.version),
        ("Environment", spec.environment.name),
        ("Image", spec.task_template.container.image),
        ("Deployed", _deployed_at(details.pb2)),
        ("Description", spec.documentation.short_description),
    ]
    required = set(details.required_args)
    pairs += [("Input", f"{key}: {kind}{'' if key in required else ', optional'}") for key, kind in inputs.items()]
    pairs += [("Output", f"{key}: {kind}") for key, kind in outputs.items()]
    pairs += [("Secret", key) for key in details.secrets]
    print_details(pairs)


def task_names() -> list[str]:
    """The names of the tasks that are deployed."""
    from flyte.remote import Task

    return sorted({task.name for task in Task.listall(limit=_NEAR_NAMES_OF)})


def _hint() -> str:
    return " `flyte deploy FILE ENV_VARIABLE` deploys some."


def _row(task: Any) -> list[str]:
    latest = task.task_summary.latest_run
    stats = task.metadata.triggers_summary
    triggers = stats.details.name or (f"{stats.stats.total} ({stats.stats.active} active)" if stats.stats.total else "")
    return [
        task.task_id.name,
        task.task_id.version,
        _deployed_at(task),
        triggers,
        latest.run_id.name,
        task.metadata.short_description,
    ]


def _deployed_at(task: Any) -> str:
    if not task.metadata.HasField("deployed_at"):
        return ""
    return show_local(task.metadata.deployed_at.ToDatetime(tzinfo=UTC))


def _document(task: Any) -> dict[str, Any]:
    where = task.task_id
    deployed_at = task.metadata.deployed_at
    return {
        "name": where.name,
        "version": where.version,
        "project": where.project,
        "domain": where.domain,
        "org": where.org,
        "deployed_at": deployed_at.ToDatetime(tzinfo=UTC).isoformat()
        if task.metadata.HasField("deployed_at")
        else None,
        "description": task.metadata.short_description,
    }
