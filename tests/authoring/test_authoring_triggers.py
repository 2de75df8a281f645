"""Schedules and triggers."""

from __future__ import annotations

import pickle
from datetime import datetime
from typing import Any

import pytest

import flyte
from flyte import Cron, FixedRate, Trigger, TriggerTime

untyped: Any = flyte


@pytest.mark.parametrize(
    "expression", ["* * * * *", "*/5 0-6,12 1,15 jan-mar MON-FRI", "0 0 ? * 7", "59 23 31 12 0", "10-50/10 * * * *"]
)
def test_five_fields_of_values_ranges_and_steps_are_a_schedule(expression: str) -> None:
    cron = Cron(expression, "Europe/Zurich")
    assert cron.timezone_expression == f"CRON_TZ=Europe/Zurich {expression}"
    assert hash(cron) == hash(Cron(expression, "Europe/Zurich"))
    assert pickle.loads(pickle.dumps(cron)) == cron


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: Cron("* * * *"), ValueError, "has 4 fields, expected 5: minute, hour, day of month"),
        (lambda: Cron("60 * * * *"), ValueError, "minute '60' is not within 0-59"),
        (lambda: Cron("* 5-3 * * *"), ValueError, "hour '5-3' is not within 0-23"),
        (lambda: Cron("* * 0 * *"), ValueError, "day of month '0' is not within 1-31"),
        (lambda: Cron("* * * foo *"), ValueError, "month 'foo' is not within 1-12"),
        (lambda: Cron("*/0 * * * *"), ValueError, "minute '*/0'"),
        (lambda: Cron("@daily"), ValueError, "write the five fields, '0 0 * * *'"),
        (lambda: untyped.Cron(5), TypeError, "Cron.expression must be a str, got 5 (int)"),
        (lambda: Cron("* * * * *", "Europe/Zürich"), ValueError, "is unknown. Did you mean 'Europe/Zurich'?"),
        (lambda: FixedRate(0), ValueError, "FixedRate.interval_minutes must be at least 1, got 0"),
        (lambda: untyped.FixedRate(1.5), TypeError, "FixedRate.interval_minutes must be an int, got 1.5"),
        (lambda: untyped.FixedRate(1, "noon"), TypeError, "FixedRate.start_time must be a datetime or None"),
        (lambda: Trigger(""), ValueError, "Trigger.name must not be empty"),
        (lambda: untyped.Trigger("a", "* * * * *"), TypeError, "trigger 'a': automation must be a flyte.Cron"),
        (lambda: Trigger("a", inputs={"t": TriggerTime}), ValueError, "uses TriggerTime, which only a schedule has"),
        (lambda: Trigger("a", max_action_concurrency=1), ValueError, "at least 2, got 1"),
        (lambda: Trigger("a", max_action_concurrency=-1), ValueError, "at least 2, got -1"),
        (lambda: untyped.Trigger("a", env_vars={"A": 1}), TypeError, "trigger 'a': env_vars['A'] must be a str"),
        (lambda: untyped.Trigger("a", auto_activate=1), TypeError, "auto_activate must be True or False, got 1"),
        (lambda: untyped.Trigger("a", notifications="mail"), ValueError, "notifications do not exist in this release"),
    ],
)
def test_a_wrong_schedule_or_trigger_is_refused(make: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as refusal:
        make()
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("make", "name", "expression"),
    [
        (Trigger.minutely, "minutely", "* * * * *"),
        (Trigger.hourly, "hourly", "0 * * * *"),
        (Trigger.daily, "daily", "0 0 * * *"),
        (Trigger.weekly, "weekly", "0 0 * * 0"),
        (Trigger.monthly, "monthly", "0 0 1 * *"),
    ],
)
def test_the_usual_schedules_have_names(make: Any, name: str, expression: str) -> None:
    assert (make().name, make().automation, make().inputs) == (name, Cron(expression), {})
    trigger = make("at", name="mine", inputs={"x": 1}, queue="q")
    assert (trigger.name, trigger.inputs, trigger.queue) == ("mine", {"at": TriggerTime, "x": 1}, "q")


def test_the_trigger_time_is_one_object_in_every_process() -> None:
    assert pickle.loads(pickle.dumps(TriggerTime)) is TriggerTime
    trigger = Trigger("a", FixedRate(5, datetime(2024, 1, 1)), inputs={"t": TriggerTime})
    assert repr(trigger).endswith("inputs={'t': TriggerTime})")
