from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from flyte.cli._moments import parse_date, parse_datetime, parse_duration, show_count, show_duration

EAST = timezone(timedelta(hours=2))
NOW = datetime(2024, 5, 6, 7, 8, 9, tzinfo=EAST)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("22", 22),
        ("0.5", 0.5),
        ("90s", 90),
        ("1h", 3600),
        ("1h30m", 5400),
        ("1.5 hours", 5400),
        ("250 ms", 0.25),
        ("2 days", 172_800),
        ("1 day 2 hours", 93_600),
        ("[1 day | 2 hours]", 93_600),
        ("1:24", 84),
        ("1:02:03.5", 3723.5),
        ("1 day, 2:03:04", 93_784),
        ("PT1H30M", 5400),
        ("P1DT2H", 93_600),
        ("P1W", 604_800),
        ("pt0.5s", 0.5),
        ("-5m", -300),
    ],
)
def test_a_duration_is_read_in_every_form(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "x", ":22", "P", "PT", "P1Y", "1 fortnight", "3 M", "1h+", "99999999999 w"])
def test_what_is_no_duration_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no duration|has the unit|longer than") as caught:
        parse_duration(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    "duration", [timedelta(0), timedelta(days=3, seconds=7), timedelta(microseconds=1500), timedelta(hours=30)]
)
def test_a_duration_as_python_prints_it_is_read_back(duration: timedelta) -> None:
    assert parse_duration(str(duration)) == duration


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-01-02", datetime(2024, 1, 2)),
        ("2024-01-02 03:04:05", datetime(2024, 1, 2, 3, 4, 5)),
        ("2024-01-02T03:04:05.123", datetime(2024, 1, 2, 3, 4, 5, 123_000)),
        ("2024-01-02T03:04:05Z", datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2024-01-02T03:04:05+02:00", datetime(2024, 1, 2, 3, 4, 5, tzinfo=EAST)),
        ("now", NOW),
        ("NOW", NOW),
        ("today", datetime(2024, 5, 6)),
        ("now - 1 day", NOW - timedelta(days=1)),
        ("now-90s", NOW - timedelta(seconds=90)),
        ("today + PT2H", datetime(2024, 5, 6, 2)),
        ("2024-01-02 03:04:05 - 1h", datetime(2024, 1, 2, 2, 4, 5)),
    ],
)
def test_a_point_in_time_is_read_in_every_form(text: str, moment: datetime) -> None:
    read = parse_datetime(text, NOW)
    assert (read, read.tzinfo) == (moment, moment.tzinfo)


def test_now_is_this_moment_with_its_offset() -> None:
    before = datetime.now(UTC)
    assert before <= parse_datetime("now") <= datetime.now(UTC)


@pytest.mark.parametrize("text", ["soon", "", "nowish", "now +", "2024-13-02", "01/02/2024", "9999-12-31 + 2 days"])
def test_what_is_no_point_in_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no point in time|is no duration|outside the years"):
        parse_datetime(text, NOW)


def test_a_date_is_the_calendar_day_where_it_was_written() -> None:
    assert parse_date("today", NOW) == date(2024, 5, 6)
    assert parse_date("2024-01-02T23:00:00-05:00", NOW) == date(2024, 1, 2)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0004, "0.4 ms"),
        (0.00996, "10 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (3599.6, "1 h 0 min"),
        (190_800, "2 d 5 h"),
    ],
)
def test_durations_are_shown_in_the_unit_people_use(seconds: float, text: str) -> None:
    assert show_duration(seconds) == text


def test_counts_have_their_plural() -> None:
    assert [show_count(number, "action") for number in (0, 1, 10_001)] == ["0 actions", "1 action", "10,001 actions"]
