"""Points in time and durations as people write them."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta

DATETIME_FORMS = "2024-01-02, 2024-01-02T03:04:05Z, now, today, or one of these + or - a duration (now - 1 day)"
DURATION_FORMS = "1h30m, 90s, 2 days, P1DT2H (ISO 8601), 1:24 (1 min 24 s), or a number of seconds"

_UNITS_S = {
    **dict.fromkeys(("us", "microsecond", "microseconds"), 1e-6),
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86_400.0),
    **dict.fromkeys(("w", "week", "weeks"), 604_800.0),
}
_NUMBER = r"\d+(?:\.\d+)?"
_AMOUNT = re.compile(rf"({_NUMBER})\s*([a-z]+)\s*", re.IGNORECASE)
_AMOUNTS = re.compile(rf"(?:{_NUMBER}\s*[a-z]+\s*)+", re.IGNORECASE)
_CLOCK = re.compile(rf"(?:(\d+):)?(\d+):({_NUMBER})")
_ISO = re.compile(
    rf"P(?=.)(?:(?P<w>{_NUMBER})W)?(?:(?P<d>{_NUMBER})D)?"
    rf"(?:T(?=.)(?:(?P<h>{_NUMBER})H)?(?:(?P<m>{_NUMBER})M)?(?:(?P<s>{_NUMBER})S)?)?",
    re.IGNORECASE,
)
_SHIFTED = re.compile(
    r"(?P<word>now|today)\s*(?P<word_sign>[+-])\s*(?P<word_by>.+)|(?P<base>.+)\s(?P<sign>[+-])\s(?P<by>.+)",
    re.IGNORECASE,
)


def parse_duration(text: str) -> timedelta:
    """The duration that `text` means; parts joined by `,` or `|` add up, and a leading minus counts for all of it.

    Raises:
        ValueError: the text is in none of `DURATION_FORMS`.
    """
    bare = text.strip()
    is_negative = bare.startswith("-")
    bare = bare.removeprefix("-").strip()
    if bare.startswith("[") and bare.endswith("]"):
        bare = bare[1:-1]
    try:
        total = timedelta(seconds=sum(_part_s(part.strip(), text) for part in re.split(r"[|,]", bare)))
    except OverflowError:
        raise ValueError(f"{text!r} is longer than a duration can be") from None
    return -total if is_negative else total


def _part_s(part: str, text: str) -> float:
    if re.fullmatch(_NUMBER, part):
        return float(part)
    if match := _CLOCK.fullmatch(part):
        hours, minutes, seconds = match.groups(default="0")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    if match := _ISO.fullmatch(part):
        return sum(float(number) * _UNITS_S[unit] for unit, number in match.groupdict(default="0").items())
    if _AMOUNTS.fullmatch(part):
        return sum(_amount_s(number, unit, text) for number, unit in _AMOUNT.findall(part))
    raise ValueError(f"{text!r} is no duration")


def _amount_s(number: str, unit: str, text: str) -> float:
    # `M` would be a month elsewhere; nobody means a minute by it who also writes `d` and `h`.
    factor = _UNITS_S.get(unit if unit == "M" else unit.lower())
    if factor is None:
        raise ValueError(f"{text!r} has the unit {unit!r}; known are ms, s, min, h, d, w and their names")
    return float(number) * factor


def parse_datetime(text: str, now: datetime | None = None) -> datetime:
    """The point in time that `text` means; naive unless it says an offset or `now`.

    Args:
        text: One of `DATETIME_FORMS`; any ISO 8601 form that Python reads.
        now: What `now` is, with its offset; `today` is midnight of its calendar day. Default the clock, local time.

    Raises:
        ValueError: the text is in none of the forms.
    """
    now = now or datetime.now().astimezone()
    text = text.strip()
    if match := _SHIFTED.fullmatch(text):
        by = parse_duration(match["word_by"] or match["by"])
        sign = match["word_sign"] or match["sign"]
        try:
            return _base(match["word"] or match["base"], now) + (by if sign == "+" else -by)
        except OverflowError:
            raise ValueError(f"{text!r} lies outside the years 1 to 9999") from None
    return _base(text, now)


def _base(text: str, now: datetime) -> datetime:
    match text.strip().lower():
        case "now":
            return now
        case "today":
            return datetime.combine(now.date(), time())
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError as error:
        # Python names the part that is wrong only where the form is right: "month must be in 1..12".
        detail = f": {error}" if "must be" in str(error) or "out of range" in str(error) else ""
        raise ValueError(f"{text!r} is no point in time{detail}") from None


def parse_date(text: str, now: datetime | None = None) -> date:
    """The calendar day that `text`, in one of `DATETIME_FORMS`, falls on.

    Raises:
        ValueError: the text is in none of the forms.
    """
    return parse_datetime(text, now).date()


def show_duration(seconds: float) -> str:
    """A duration as a person reads it: `0.4 ms`, `12 ms`, `1.5 s`, `2 min 5 s`, `3 h 20 min`, `4 d 2 h`."""
    if seconds < 0.00995:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit_s, unit, part_s, part in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= unit_s:
            return f"{whole // unit_s} {unit} {whole % unit_s // part_s} {part}"
    raise AssertionError(seconds)


def show_local(moment: datetime | None) -> str:
    """A point in time on this machine's clock, to the second; empty for None."""
    return "" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def show_count(number: int, noun: str) -> str:
    """`1 action`, `10,001 actions`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
