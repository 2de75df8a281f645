"""`flyte get trigger`, and what changes triggers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from typing import Any

from flyte.cli._documents import Column, print_details, print_document, print_table
from flyte.cli._errors import CommandError
from flyte.cli._invocation import OutputFormat
from flyte.cli._literals import inputs_of, show_value
from flyte.cli._moments import show_local
from flyte.cli._plane import connect
from flyte.cli._plane_records import near_names
from flyte.cli._project_views import check_place
from flyte.cli._task_views import task_names
from flyte.cli._terminal import note


def show_triggers(task_name: str | None, limit: int, output: OutputFormat) -> None:
    """The triggers of the project, or of a task.

    Raises:
        CommandError: no such task is deployed.
    """
    from flyte.remote import Trigger

    connect()
    found = list(Trigger.listall(task_name, limit=limit + 1))
    shown = found[:limit]
    if not found:
        check_place()
    if not found and task_name is not None and task_name not in (known := task_names()):
        raise CommandError(f"no task {task_name!r} is deployed there.{near_names(task_name, lambda: known)}")
    if output.is_document:
        print_document([_document(each.pb2, is_active=each.is_active) for each in shown], output)
    elif shown:
        columns = [
            Column("Name", is_kept_whole=True),
            Column("Task", is_kept_whole=True),
            Column("When"),
            Column("Active"),
            Column("Deployed", is_kept_whole=True),
        ]
        rows = [
            [
                each.name,
                each.task_name,
                when(each.automation_spec),
                "yes" if each.is_active else "no",
                _time(each.pb2.status, "deployed_at"),
            ]
            for each in shown
        ]
        print_table(columns, rows, output)
    else:
        note("There is no trigger.")
    if len(found) > limit:
        note(f"There are more than these {limit}: --limit shows more.")


def show_trigger(task_name: str, name: str, output: OutputFormat) -> None:
    """One trigger.

    Raises:
        CommandError: there is none of that name.
    """
    from flyte.remote import TriggerDetails

    connect()
    with known_trigger(name, task_name):
        details = TriggerDetails.get(name=name, task_name=task_name)
    spec = details.pb2.spec
    inputs = inputs_of(spec.inputs.SerializeToString()) if spec.HasField("inputs") else {}
    if output.is_document:
        more = {"task_version": spec.task_version, "description": spec.description, "inputs": inputs}
        print_document({**_document(details.pb2, is_active=details.is_active), **more}, output)
        return
    pairs = [
        ("Trigger", details.name),
        ("Task", details.task_name),
        ("Version", spec.task_version),
        ("When", when(details.automation_spec)),
        ("Active", "yes" if details.is_active else "no"),
        ("Description", spec.description),
        ("Deployed", _time(details.status, "deployed_at")),
        ("Fired", _time(details.status, "triggered_at")),
    ]
    pairs += [("Input", f"{key} = {show_value(value)}") for key, value in inputs.items()]
    print_details(pairs)


@contextmanager
def known_trigger(name: str, task_name: str) -> Iterator[None]:
    """A block in which a task is expected to have that trigger.

    Raises:
        CommandError: it has not; near names are offered.
    """
    from flyte._rpc.failures import NOT_FOUND
    from flyte.errors import UnionRpcError
    from flyte.remote import Trigger

    try:
        yield
    except UnionRpcError as error:
        if error.code != NOT_FOUND:
            raise
        near = near_names(name, lambda: [each.name for each in Trigger.listall(task_name, limit=-1)])
        raise CommandError(f"task {task_name!r} has no trigger {name!r}.{near}") from None


def when(spec: Any) -> str:
    """When a trigger fires, in a few words."""
    schedule = spec.schedule
    match schedule.WhichOneof("expression"):
        case "cron":
            zone = f" ({schedule.cron.timezone})" if schedule.cron.timezone else ""
            return f"{schedule.cron.expression}{zone}"
        case "cron_expression":
            return str(schedule.cron_expression)
        case "rate":
            unit = schedule.rate.DESCRIPTOR.fields_by_name["unit"].enum_type.values_by_number[schedule.rate.unit].name
            return f"every {schedule.rate.value} {unit.rpartition('_')[2].lower()}s"
    return "by hand"


def _time(status: Any, field: str) -> str:
    return show_local(getattr(status, field).ToDatetime(tzinfo=UTC)) if status.HasField(field) else ""


def _document(message: Any, *, is_active: bool) -> dict[str, Any]:
    where, status = message.id.name, message.status
    deployed_at = status.deployed_at.ToDatetime(tzinfo=UTC).isoformat() if status.HasField("deployed_at") else None
    return {
        "name": where.name,
        "task": where.task_name,
        "project": where.project,
        "domain": where.domain,
        "when": when(message.automation_spec),
        "is_active": is_active,
        "deployed_at": deployed_at,
    }
