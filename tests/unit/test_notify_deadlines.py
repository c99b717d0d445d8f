"""When a task is overdue: not succeeded by a time of day, or for too long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from notifications.engine.deadlines import daily_deadlines, missed_deadline
from scheduler.exceptions import InvalidScheduleError
from tests.support.cases import each_case

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def at(text: str) -> datetime:
    """Return an instant of June 2026, such as "2 06:00": a Tuesday."""
    day, _, clock = text.partition(" ")
    return datetime.fromisoformat(f"2026-06-{int(day):02} {clock}+00:00")


def missed(
    deadline: str | float,
    now: str,
    *,
    success: str = "",
    schedule: str = "0 5 * * *",
    zone: str = "UTC",
    since: datetime = LONG_AGO,
) -> datetime | None:
    return missed_deadline(
        deadline,
        schedule=schedule,
        zone=zone,
        last_success_at=at(success) if success else None,
        since=since,
        now=at(now),
    )


@each_case(
    ("now", "success", "overdue"),
    [
        ("2 05:59", "1 05:10", ""),
        ("2 06:00", "1 05:10", "2 06:00"),
        ("2 06:00", "2 05:10", ""),
        ("2 23:00", "1 05:10", "2 06:00"),
        ("2 06:00", "", "2 06:00"),
        # made good after the deadline
        ("2 07:30", "2 07:00", ""),
        # yesterday's success came late, and is none for today
        ("2 06:00", "1 07:00", "2 06:00"),
        ("2 06:00", "2 04:59", "2 06:00"),
        # the day before yesterday is told of as the latest deadline
        ("3 05:00", "1 05:10", "2 06:00"),
    ],
)
def test_a_task_that_has_not_succeeded_by_its_time_of_day_is_overdue(
    now: str, success: str, overdue: str
) -> None:
    assert missed("06:00", now, success=success) == (at(overdue) if overdue else None)


def test_a_day_without_a_slot_has_no_deadline() -> None:
    weekdays = "0 5 * * 1-5"

    assert missed("06:00", "7 12:00", schedule=weekdays, success="5 05:10") is None  # a Sunday
    assert missed("06:00", "8 06:00", schedule=weekdays, success="5 05:10") == at("8 06:00")


def test_without_a_schedule_any_success_since_the_last_deadline_counts() -> None:
    assert missed("06:00", "2 06:00", schedule="", success="1 07:00") is None
    assert missed("06:00", "2 06:00", schedule="", success="1 05:59") == at("2 06:00")


def test_the_time_of_day_is_that_of_the_zone_of_the_task() -> None:
    zone = "Asia/Shanghai"  # 06:00 there is 22:00 UTC of the day before, its slot 21:00

    assert missed("06:00", "2 21:59", zone=zone, success="1 21:10") is None
    assert missed("06:00", "2 22:00", zone=zone, success="1 21:10") == at("2 22:00")


@each_case(
    ("day", "instant"),
    [
        (
            "2026-03-29",
            "2026-03-29 01:30+00:00",
        ),  # 02:30 does not exist: as far after the gap as it lies in it
        ("2026-10-25", "2026-10-25 00:30+00:00"),  # 02:30 comes twice: the first
    ],
)
def test_a_deadline_comes_once_on_the_days_of_the_change(day: str, instant: str) -> None:
    begin = datetime.fromisoformat(f"{day} 00:00+00:00")

    found = daily_deadlines("02:30", zone="Europe/Berlin", since=begin, until=begin + timedelta(hours=20))

    assert list(found) == [datetime.fromisoformat(instant)]


@each_case(
    ("now", "success", "overdue"),
    [
        ("2 07:09", "1 05:10", ""),
        ("2 07:10", "1 05:10", "2 07:10"),
        ("9 07:10", "1 05:10", "2 07:10"),
        ("2 07:10", "2 05:10", ""),
    ],
)
def test_a_task_without_a_success_for_26_hours_is_overdue(now: str, success: str, overdue: str) -> None:
    assert missed(26 * 3600, now, success=success) == (at(overdue) if overdue else None)


def test_a_deadline_is_not_missed_before_it_was_given() -> None:
    given = at("2 06:30")

    assert missed("06:00", "2 07:00", since=given) is None
    assert missed("06:00", "3 06:00", since=given) == at("3 06:00")
    assert missed(3600, "2 07:29", success="1 05:10", since=given) is None
    assert missed(3600, "2 07:30", success="1 05:10", since=given) == at("2 07:30")


@each_case("deadline", ["6 o'clock", "25:00", 0, -1.0])
def test_a_deadline_that_is_none_is_an_error(deadline: str | float) -> None:
    with pytest.raises(ValueError):
        missed(deadline, "2 06:00")


def test_a_schedule_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(InvalidScheduleError):
        missed("06:00", "2 06:00", schedule="61 * * * *")
