"""When a task is started by the control plane; declarations for deployed tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Dict, TypedDict, Union, Unpack

from flyte._authoring.cron import Cron as Cron
from flyte._authoring.cron import FixedRate as FixedRate
from flyte._authoring.expectations import expect, expect_bool, expect_optional_str, expect_str_mapping
from flyte.models.rich_repr import RichRepr


class TriggerTimeType:
    """The type of `TriggerTime`, its only instance."""

    def __repr__(self) -> str:
        return "TriggerTime"

    def __reduce__(self) -> str:
        return "TriggerTime"


TriggerTime = TriggerTimeType()
"""In the inputs of a trigger: the time at which it fires."""


Automation = Union[Cron, FixedRate]


class TriggerOptions(TypedDict, total=False):
    """Fields of a `Trigger` that its schedules leave alone."""

    auto_activate: bool
    env_vars: Dict[str, str] | None
    interruptible: bool | None
    overwrite_cache: bool
    queue: str | None
    max_action_concurrency: int | None
    labels: Mapping[str, str] | None
    annotations: Mapping[str, str] | None
    custom_context: Mapping[str, str] | None


@dataclass(frozen=True, repr=False)
class Trigger(RichRepr):
    """A named way of starting a deployed task without a person.

    Attributes:
        name: Unique among the triggers of the task.
        automation: What fires it; without one it is fired by hand.
        description: For the people who see it.
        auto_activate: It is active as soon as it is deployed.
        inputs: Inputs of the runs it starts; `TriggerTime` stands for the time of firing, on schedules only.
        env_vars: Environment variables of these runs.
        interruptible: Whether these runs may be moved off their machine; None leaves it to the task.
        overwrite_cache: These runs compute always, and keep their results.
        queue: The queue of these runs.
        max_action_concurrency: Actions of one run at the same time; 0 leaves it to the control plane.
        labels: Labels of these runs.
        annotations: Annotations of these runs.
        notifications: Not available yet: anything but None is refused.
        custom_context: Custom context of these runs.

    Raises:
        ValueError: the name is empty, the limit is 1 or negative, notifications are set, or `TriggerTime` is used
            without a schedule.
        TypeError: a field is of another type.
    """

    name: str
    automation: Automation | None = None
    description: str = ""
    auto_activate: bool = True
    inputs: Dict[str, Any] | None = None
    env_vars: Dict[str, str] | None = None
    interruptible: bool | None = None
    overwrite_cache: bool = False
    queue: str | None = None
    max_action_concurrency: int | None = None
    labels: Mapping[str, str] | None = None
    annotations: Mapping[str, str] | None = None
    notifications: None = None
    custom_context: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        expect(isinstance(self.name, str), "Trigger.name", "a str", self.name)
        if not self.name:
            raise ValueError("Trigger.name must not be empty")
        self._check_types()
        self._check_concurrency()
        if self.notifications is not None:
            raise ValueError(f"trigger {self.name!r}: notifications do not exist in this release; leave them out")
        if self.automation is None and any(value is TriggerTime for value in (self.inputs or {}).values()):
            raise ValueError(
                f"trigger {self.name!r} uses TriggerTime, which only a schedule has: give it "
                f"automation=flyte.Cron(...) or flyte.FixedRate(...)"
            )

    @classmethod
    def minutely(
        cls,
        trigger_time_input_key: str | None = None,
        *,
        name: str = "minutely",
        description: str = "A trigger that runs every minute",
        inputs: Dict[str, Any] | None = None,
        **options: Unpack[TriggerOptions],
    ) -> Trigger:
        """Fires every minute.

        Args:
            trigger_time_input_key: The input that gets the time of firing.
            name: Unique among the triggers of the task.
            description: For the people who see it.
            inputs: Further inputs.
            **options: The other fields of `Trigger`.
        """
        return cls(name, Cron("* * * * *"), description, inputs=_inputs(trigger_time_input_key, inputs), **options)

    @classmethod
    def hourly(
        cls,
        trigger_time_input_key: str | None = None,
        *,
        name: str = "hourly",
        description: str = "A trigger that runs every hour",
        inputs: Dict[str, Any] | None = None,
        **options: Unpack[TriggerOptions],
    ) -> Trigger:
        """Fires every hour, on the hour.

        Args:
            trigger_time_input_key: The input that gets the time of firing.
            name: Unique among the triggers of the task.
            description: For the people who see it.
            inputs: Further inputs.
            **options: The other fields of `Trigger`.
        """
        return cls(name, Cron("0 * * * *"), description, inputs=_inputs(trigger_time_input_key, inputs), **options)

    @classmethod
    def daily(
        cls,
        trigger_time_input_key: str | None = None,
        *,
        name: str = "daily",
        description: str = "A trigger that runs daily at midnight",
        inputs: Dict[str, Any] | None = None,
        **options: Unpack[TriggerOptions],
    ) -> Trigger:
        """Fires every day at midnight, UTC.

        Args:
            trigger_time_input_key: The input that gets the time of firing.
            name: Unique among the triggers of the task.
            description: For the people who see it.
            inputs: Further inputs.
            **options: The other fields of `Trigger`.
        """
        return cls(name, Cron("0 0 * * *"), description, inputs=_inputs(trigger_time_input_key, inputs), **options)

    @classmethod
    def weekly(
        cls,
        trigger_time_input_key: str | None = None,
        *,
        name: str = "weekly",
        description: str = "A trigger that runs weekly on Sundays at midnight",
        inputs: Dict[str, Any] | None = None,
        **options: Unpack[TriggerOptions],
    ) -> Trigger:
        """Fires on Sundays at midnight, UTC.

        Args:
            trigger_time_input_key: The input that gets the time of firing.
            name: Unique among the triggers of the task.
            description: For the people who see it.
            inputs: Further inputs.
            **options: The other fields of `Trigger`.
        """
        return cls(name, Cron("0 0 * * 0"), description, inputs=_inputs(trigger_time_input_key, inputs), **options)

    @classmethod
    def monthly(
        cls,
        trigger_time_input_key: str | None = None,
        *,
        name: str = "monthly",
        description: str = "A trigger that runs monthly on the 1st at midnight",
        inputs: Dict[str, Any] | None = None,
        **options: Unpack[TriggerOptions],
    ) -> Trigger:
        """Fires on the first of each month at midnight, UTC.

        Args:
            trigger_time_input_key: The input that gets the time of firing.
            name: Unique among the triggers of the task.
            description: For the people who see it.
            inputs: Further inputs.
            **options: The other fields of `Trigger`.
        """
        return cls(name, Cron("0 0 1 * *"), description, inputs=_inputs(trigger_time_input_key, inputs), **options)

    def _check_types(self) -> None:
        what = f"trigger {self.name!r}: "
        is_automation = self.automation is None or isinstance(self.automation, Cron | FixedRate)
        expect(is_automation, f"{what}automation", "a flyte.Cron, a flyte.FixedRate or None", self.automation)
        expect(self.inputs is None or isinstance(self.inputs, dict), f"{what}inputs", "a dict or None", self.inputs)
        expect(isinstance(self.description, str), f"{what}description", "a str", self.description)
        expect_optional_str(f"{what}queue", self.queue)
        expect_bool(f"{what}auto_activate", self.auto_activate)
        expect_bool(f"{what}overwrite_cache", self.overwrite_cache)
        if self.interruptible is not None:
            expect_bool(f"{what}interruptible", self.interruptible)
        for field in ("env_vars", "labels", "annotations", "custom_context"):
            if (mapping := getattr(self, field)) is not None:
                expect_str_mapping(f"{what}{field}", mapping)

    def _check_concurrency(self) -> None:
        limit = self.max_action_concurrency
        is_int = limit is None or (isinstance(limit, int) and not isinstance(limit, bool))
        expect(is_int, f"trigger {self.name!r}: max_action_concurrency", "an int or None", limit)
        if limit is not None and (limit < 0 or limit == 1):
            raise ValueError(
                f"trigger {self.name!r}: max_action_concurrency must be 0 (left to the control plane) or at least 2, "
                f"got {limit}: with 1 a parent would wait for ever for its children"
            )


def triggers_of(triggers: Any) -> tuple[Trigger, ...]:
    """The triggers that `triggers=` means: one, or several of different names.

    Raises:
        TypeError: one of them is no trigger.
        ValueError: two have the same name.
    """
    each_trigger = tuple(triggers) if isinstance(triggers, list | tuple) else (triggers,)
    names = set()
    for trigger in each_trigger:
        expect(isinstance(trigger, Trigger), "triggers", "a flyte.Trigger or a tuple of them", trigger)
        if trigger.name in names:
            raise ValueError(f"triggers: two have the name {trigger.name!r}")
        names.add(trigger.name)
    return each_trigger


def _inputs(time_key: str | None, inputs: Dict[str, Any] | None) -> Dict[str, Any]:
    given = inputs or {}
    return given if time_key is None else {time_key: TriggerTime, **given}
