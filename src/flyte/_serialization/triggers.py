"""A trigger as messages: when it fires, and how the runs that it starts are run."""

from __future__ import annotations

from flyteidl2.core.literals_pb2 import KeyValuePair
from flyteidl2.task.common_pb2 import Cron as CronMessage
from flyteidl2.task.common_pb2 import FixedRate as RateMessage
from flyteidl2.task.common_pb2 import (
    FixedRateUnit,
    Inputs,
    Schedule,
    TriggerAutomationSpec,
    TriggerAutomationSpecType,
)
from flyteidl2.task.run_pb2 import Annotations, Envs, Labels, RunSpec
from flyteidl2.task.task_definition_pb2 import TaskTrigger, TaskTriggerSpec
from google.protobuf.wrappers_pb2 import BoolValue

from flyte._authoring.cron import Cron, FixedRate
from flyte._authoring.triggers import Trigger, TriggerTime
from flyte.errors import DeploymentError
from flyte.types._codec import InterfaceCodec

KICKOFF_KEY = "_u_kickoff_time_input_arg"
"""In the context of a trigger's inputs: the input that gets the time of firing."""


def trigger_message(trigger: Trigger, codec: InterfaceCodec) -> TaskTrigger:
    """What a control plane is told of a trigger, with the task that has it.

    Args:
        trigger: The trigger.
        codec: Of the task.

    Raises:
        DeploymentError: an input is missing, unknown, or of another type.
    """
    return TaskTrigger(
        name=trigger.name,
        spec=TaskTriggerSpec(
            active=trigger.auto_activate,
            inputs=trigger_inputs(trigger, codec),
            run_spec=trigger_run_spec(trigger),
            description=trigger.description,
        ),
        automation_spec=automation_of(trigger),
    )


def trigger_inputs(trigger: Trigger, codec: InterfaceCodec) -> Inputs:
    """The inputs of the runs that it starts, the time of firing left out.

    Raises:
        DeploymentError: an input is missing, unknown, or of another type.
    """
    given = trigger.inputs or {}
    kickoff = _kickoff_input(trigger)
    fixed = {name: value for name, value in given.items() if value is not TriggerTime}
    try:
        inputs = codec.encode_without(fixed, kickoff)
    except (TypeError, ValueError) as error:
        raise DeploymentError(f"trigger {trigger.name!r} of task {codec.task_name!r}: {error}") from error
    inputs.context.extend(KeyValuePair(key=key, value=text) for key, text in (trigger.custom_context or {}).items())
    if kickoff is not None:
        inputs.context.append(KeyValuePair(key=KICKOFF_KEY, value=kickoff))
    return inputs


def trigger_run_spec(trigger: Trigger) -> RunSpec:
    """How the runs that it starts are run."""
    spec = RunSpec(
        overwrite_cache=trigger.overwrite_cache,
        queue=trigger.queue or "",
        max_action_concurrency=trigger.max_action_concurrency or 0,
    )
    if trigger.labels:
        spec.labels.CopyFrom(Labels(values=dict(trigger.labels)))
    if trigger.annotations:
        spec.annotations.CopyFrom(Annotations(values=dict(trigger.annotations)))
    if trigger.env_vars:
        values = [KeyValuePair(key=key, value=text) for key, text in trigger.env_vars.items()]
        spec.envs.CopyFrom(Envs(values=values))
    if trigger.interruptible is not None:
        spec.interruptible.CopyFrom(BoolValue(value=trigger.interruptible))
    return spec


def automation_of(trigger: Trigger) -> TriggerAutomationSpec:
    """When it fires."""
    automation = trigger.automation
    if automation is None:
        return TriggerAutomationSpec(type=TriggerAutomationSpecType.TYPE_NONE)
    schedule = Schedule(kickoff_time_input_arg=_kickoff_input(trigger) or "")
    if isinstance(automation, Cron):
        schedule.cron.CopyFrom(CronMessage(expression=automation.expression, timezone=automation.timezone))
    else:
        schedule.rate.CopyFrom(_rate(automation))
    return TriggerAutomationSpec(type=TriggerAutomationSpecType.TYPE_SCHEDULE, schedule=schedule)


def _rate(rate: FixedRate) -> RateMessage:
    message = RateMessage(value=rate.interval_minutes, unit=FixedRateUnit.FIXED_RATE_UNIT_MINUTE)
    if rate.start_time is not None:
        message.start_time.FromDatetime(rate.start_time)
    return message


def _kickoff_input(trigger: Trigger) -> str | None:
    """The input that gets the time of firing.

    Raises:
        DeploymentError: several are to.
    """
    names = [name for name, value in (trigger.inputs or {}).items() if value is TriggerTime]
    if len(names) > 1:
        raise DeploymentError(
            f"trigger {trigger.name!r}: inputs {', '.join(names)} are to be the time of firing, and only one can be."
        )
    return names[0] if names else None
