"""Schedules: at times of the clock, and at equal intervals."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from flyte._authoring.expectations import expect, near_name
from flyte.models.rich_repr import RichRepr

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")

_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    ("day of week", 0, 7, {name: number for number, name in enumerate(_WEEKDAYS)}),
)
_PART = re.compile(r"(?P<first>\*|\?|\w+)(-(?P<last>\w+))?(/(?P<step>\d+))?")
_SHORTHANDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


@dataclass(frozen=True, repr=False)
class Cron(RichRepr):
    """A schedule in the five fields of cron, on the clock of a time zone.

    Raises:
        ValueError: the expression or the time zone is not one.
        TypeError: either is not a string.
    """

    expression: str
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        expect(isinstance(self.expression, str), "Cron.expression", "a str", self.expression)
        expect(isinstance(self.timezone, str), "Cron.timezone", "a str", self.timezone)
        _check_fields(self.expression)
        _check_timezone(self.timezone)

    @property
    def timezone_expression(self) -> str:
        """Both in one string, as the control plane takes it."""
        return f"CRON_TZ={self.timezone} {self.expression}"


@dataclass(frozen=True, repr=False)
class FixedRate(RichRepr):
    """A schedule of equal intervals, in minutes, from a start time or from the activation.

    Raises:
        ValueError: the interval is below one minute.
        TypeError: a field is of another type.
    """

    interval_minutes: int
    start_time: datetime | None = None

    def __post_init__(self) -> None:
        is_int = isinstance(self.interval_minutes, int) and not isinstance(self.interval_minutes, bool)
        expect(is_int, "FixedRate.interval_minutes", "an int", self.interval_minutes)
        is_time = self.start_time is None or isinstance(self.start_time, datetime)
        expect(is_time, "FixedRate.start_time", "a datetime or None", self.start_time)
        if self.interval_minutes < 1:
            raise ValueError(f"FixedRate.interval_minutes must be at least 1, got {self.interval_minutes}")


def _check_fields(expression: str) -> None:
    """Refuse what is not minute, hour, day of month, month and day of week, each a list of values, ranges and steps.

    Raises:
        ValueError: naming the field, what it holds and what it may hold.
    """
    if expression in _SHORTHANDS:
        raise ValueError(f"cron {expression!r}: write the five fields, {_SHORTHANDS[expression]!r}")
    parts = expression.split()
    if len(parts) != len(_FIELDS):
        raise ValueError(
            f"cron {expression!r} has {len(parts)} fields, expected 5: minute, hour, day of month, month, day of week. "
            f"For example '30 9 * * 1-5' is half past nine on working days."
        )
    for text, (name, low, high, names) in zip(parts, _FIELDS, strict=True):
        for part in text.split(","):
            if not _is_valid(part, low, high, names):
                raise ValueError(f"cron {expression!r}: {name} {part!r} is not within {low}-{high}")


def _is_valid(part: str, low: int, high: int, names: dict[str, int]) -> bool:
    match = _PART.fullmatch(part.lower())
    if match is None or (match["step"] is not None and int(match["step"]) == 0):
        return False
    if match["first"] in "*?":
        return match["last"] is None
    first = _number(match["first"], names)
    last = first if match["last"] is None else _number(match["last"], names)
    return first is not None and last is not None and low <= first <= last <= high


def _number(text: str, names: dict[str, int]) -> int | None:
    return int(text) if text.isdecimal() else names.get(text)


def _check_timezone(timezone: str) -> None:
    from zoneinfo import ZoneInfo, available_timezones

    try:
        ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):
        known = available_timezones()
        # A machine without a time zone database cannot tell; the control plane will.
        if known:
            raise ValueError(f"time zone {timezone!r} is unknown.{near_name(timezone, known)}") from None
