"""`flyte create trigger`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flyte.cli._errors import CommandError
from flyte.cli._invocation import OutputFormat
from flyte.cli._plane import connect
from flyte.cli._plane_records import near_names
from flyte.cli._task_views import task_names
from flyte.cli._trigger_views import show_trigger


@dataclass(frozen=True, slots=True)
class NewTrigger:
    """The options of `flyte create trigger`.

    Attributes:
        schedule: Five fields of cron.
        time_input: Input that gets the time it fires at, if the task has it.
    """

    task_name: str
    name: str
    schedule: str
    description: str
    is_active: bool
    time_input: str


def create_trigger(new: NewTrigger, output: OutputFormat) -> None:
    """The newest version of a deployed task has the trigger, and it is shown.

    Raises:
        CommandError: no such task is deployed, or the trigger does not fit it.
    """
    import flyte
    from flyte.errors import BaseRuntimeError, RemoteTaskNotFoundError
    from flyte.remote import Task, Trigger

    connect()
    try:
        task = Task.get(new.task_name, auto_version="latest").fetch()
    except RemoteTaskNotFoundError as error:
        raise CommandError(f"{error}{near_names(new.task_name, task_names)}") from None
    inputs: dict[str, Any] = {new.time_input: flyte.TriggerTime} if new.time_input in task.interface.inputs else {}
    try:
        trigger = flyte.Trigger(
            new.name,
            flyte.Cron(new.schedule),
            description=new.description,
            auto_activate=new.is_active,
            inputs=inputs,
        )
        Trigger.create(trigger, new.task_name)
    except (TypeError, ValueError) as error:
        raise CommandError(str(error)) from None
    except BaseRuntimeError as error:
        if error.kind != "user":
            raise
        raise CommandError(str(error)) from None
    show_trigger(new.task_name, new.name, output)
