"""Slots of a schedule: reading, stepping, and both daylight-saving days."""

from __future__ import annotations

import random
import zoneinfo
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.engine.cron import without_range
from scheduler.engine.cron_readings import find_wide_steps
from scheduler.engine.day_rules import changed_days
from scheduler.engine.schedules import (
    accept_schedule,
    count_slots,
    describe_transitions,
    has_fixed_hours,
    next_slot,
    parse_schedule,
    slots_between,
)
from scheduler.engine.zones import changes_around, changes_of_year
from scheduler.exceptions import InvalidScheduleError
from tests.effort import calls_of
from tests.support.cases import each_case

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
ZONES = sorted(zoneinfo.available_timezones() - {"localtime"})
LIVELY_ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Asia/Beirut",
    "Africa/Cairo",
    "America/Santiago",
    "America/Sao_Paulo",
    "America/Havana",
    "America/Nuuk",
    "Africa/Casablanca",
    "Asia/Pyongyang",
    "Asia/Shanghai",
    "UTC",
]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def local_slots(expression: str, timezone: str, first: str, last: str) -> list[str]:
    """Slots of the local days `first` to `last`, as local times with their offset."""
    zone = zoneinfo.ZoneInfo(timezone)
    begin, end = datetime.fromisoformat(first), datetime.fromisoformat(last) + DAY
    # In UTC before subtracting: 23:59:59 can come twice, or not at all.
    start, stop = (wall.replace(tzinfo=zone).astimezone(UTC) - SECOND for wall in (begin, end))
    slots = slots_between(parse_schedule(expression, timezone), start, stop)
    return [slot.astimezone(zone).strftime("%d %H:%M%z") for slot in slots]


# --- reading --------------------------------------------------------------------------------------


@each_case(
    ("expression", "same_as"),
    [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        (" @Daily ", "0 0 * * *"),
        ("0 30 2 * * *", "30 2 * * *"),
        ("0\t9 *  * MON-fri", "0 9 * * 1-5"),
        ("0 0 * * 7", "0 0 * * 0"),
        ("0 0 ? * 1", "0 0 * * 1"),
        ("*/60 * * * *", "0 * * * *"),
        ("*/90 * * * *", "0 * * * *"),
        ("*/9999 * * * *", "0 * * * *"),
        ("0 */24 * * *", "0 0 * * *"),
        ("0 0 */40 * *", "0 0 1 * *"),
        ("*/60,30 5 * * *", "0,30 5 * * *"),
        ("0 0 3-3 * *", "0 0 3 * *"),
        ("7-07 0 3-3/2 jan-1 *", "7 0 3 1 *"),
        ("0 0 * * mon-1,fri-fri", "0 0 * * 1,5"),
        ("*/20 * * * *", "0,20,40 * * * *"),
        ("59/15 * * * *", "59 * * * *"),
    ],
)
def test_another_spelling_gives_the_same_slots(expression: str, same_as: str) -> None:
    start = utc("2026-01-01")

    slots = slots_between(parse_schedule(expression, "UTC"), start, start + 800 * DAY, limit=50)

    assert slots == slots_between(parse_schedule(same_as, "UTC"), start, start + 800 * DAY, limit=50)


@each_case(
    ("expression", "expected"),
    [
        ("0 0 L * *", ["2026-01-31", "2026-02-28", "2026-03-31"]),
        ("0 0 L,15 * *", ["2026-01-15", "2026-01-31", "2026-02-15"]),
        ("0 0 15W * *", ["2026-01-15", "2026-02-16", "2026-03-16"]),
        ("0 0 1W * *", ["2026-02-02", "2026-03-02", "2026-04-01"]),
        ("0 0 * * 5#3", ["2026-01-16", "2026-02-20", "2026-03-20"]),
        ("0 0 * * L5", ["2026-01-30", "2026-02-27", "2026-03-27"]),
        ("0 0 29 2 *", ["2028-02-29", "2032-02-29", "2036-02-29"]),
        ("0 0 13 * 5", ["2026-01-02", "2026-01-09", "2026-01-13"]),
    ],
)
def test_days_are_found(expression: str, expected: list[str]) -> None:
    slots = slots_between(parse_schedule(expression, "UTC"), utc("2026-01-01"), utc("2040-01-01"), limit=3)

    assert [f"{slot:%Y-%m-%d}" for slot in slots] == expected


MARCH = [f"{day:02}" for day in range(1, 32)]


@each_case(
    ("expression", "days"),
    [
        ("0 0 */2 * 1", ["09", "23"]),
        ("0 0 13 * */2", []),
        ("0 0 */1 * 1", ["02", "09", "16", "23", "30"]),
        ("0 0 1 * */1", ["01"]),
        ("0 0 *,5 * 1", ["02", "09", "16", "23", "30"]),
        ("0 0 22,* * mon", MARCH),
        ("0 0 5 * thu,*", MARCH),
        ("0 0 1-31 * 1", MARCH),
        ("0 0 13 * 1-5/2", ["02", "04", "06", "09", "11", "13", "16", "18", "20", "23", "25", "27", "30"]),
        ("0 0 ? * 1", ["02", "09", "16", "23", "30"]),
        ("0 0 13 * ?", ["13"]),
    ],
)
def test_day_fields_are_joined_by_and_when_one_begins_with_a_star(expression: str, days: list[str]) -> None:
    """The days of March 2026 on which cron 3.0pl1-162 of Debian starts a job."""
    slots = local_slots(expression, "UTC", "2026-03-01", "2026-03-31")

    assert [slot[:2] for slot in slots] == days


def test_days_that_the_rule_of_the_star_changes_are_those_of_one_reading_only() -> None:
    fewer = changed_days("0 0 */2 * 1", date(2026, 3, 1), days=7)
    more = changed_days("0 0 5 * thu,*", date(2026, 3, 1), days=7)

    assert [day.day for day in fewer.dropped] == [1, 2, 3, 5, 7]
    assert [day.day for day in more.added] == [1, 2, 3, 4, 6, 7]
    assert (fewer.added, more.dropped) == ((), ())


def test_six_fields_have_seconds_first() -> None:
    slots = slots_between(parse_schedule("*/30 5 * * * *", "UTC"), utc("2026-01-01"), utc("2026-01-01T02:00"))

    assert [f"{slot:%H:%M:%S}" for slot in slots] == ["00:05:00", "00:05:30", "01:05:00", "01:05:30"]


def test_leap_day_is_found_across_the_year_2100() -> None:
    schedule = parse_schedule("0 0 29 2 *", "UTC")

    assert next_slot(schedule, utc("2096-03-01")) == utc("2104-02-29")


@each_case(
    ("expression", "message"),
    [
        ("", "has 0 fields; allowed are five"),
        ("hourly", "has 1 field; allowed are five"),
        ("* * * *", "has 4 fields; allowed are five"),
        ("0 0 0 1 1 * 2030", "has 7 fields; allowed are five .* there is no year field"),
        ("0," * 200 + "0 * * * *", "has 409 characters; at most 255 are allowed"),
        (
            "CRON_TZ=Asia/Shanghai 0 5 * * *",
            "begins with CRON_TZ=, .* the zone Asia/Shanghai belongs in the time zone",
        ),
        ("tz = 'UTC' @daily", "begins with TZ=, .* the zone UTC belongs"),
        ("@reboot", 'unknown schedule alias "@reboot"; allowed: @hourly, @daily'),
        ("@every 5m", "unknown schedule alias"),
        ("5-1 * * * *", 'has the range "5-1"; a range must rise'),
        ("0 0 * * fri-mon", 'day of week field .* has the range "fri-mon"; a range must rise'),
        ("60 * * * *", 'minute field .* has "60"; allowed are 0 to 59'),
        ("0 24 * * *", 'hour field .* has "24"; allowed are 0 to 23'),
        ("0 0 0 * *", 'day of month field .* has "0"; allowed are 1 to 31'),
        ("0 0 1 13 *", 'month field .* has "13"; allowed are 1 to 12, .* names jan'),
        ("0 0 * * 8", 'day of week field .* has "8"; allowed are 0 to 7'),
        ("*/0 * * * *", 'has the step "/0"; allowed are steps from /1 to /59'),
        ("5/90 * * * *", 'has the step "/90"'),
        ("1-30/90 * * * *", 'has the step "/90"'),
        ("R R * * *", 'minute field .* has "r"'),
        ("H H(0-7) * * *", 'minute field .* has "h"'),
        ("*-5 * * * *", r'has "\*-5"'),
        ("1,,2 * * * *", 'has ""'),
        ("0 0 LW * *", 'has "lw"'),
        ("0 0 15W * 1", "combines W, # or L<weekday> with the other day field"),
        ("0 0 * * 5#6", 'has "5#6"'),
        ("٣ * * * *", 'has "٣"'),
        ("0 0 * * *\x00", r"has the character U\+0000"),
        ("0 0 30 2 *", "never fires: no day of any year matches"),
        ("0 0 31 4,6,9,11 *", "never fires"),
    ],
)
def test_refused_expression_is_named_with_what_is_allowed(expression: str, message: str) -> None:
    with pytest.raises(InvalidScheduleError, match=message):
        parse_schedule(expression, "UTC")


@each_case(
    ("expression", "first", "is_accepted"),
    [
        ("0 0 * 2 4#5", "2052-02-29", False),
        ("0 0 * 2 1#5", "2044-02-29", False),
        ("0 0 * 2 2#5", "2028-02-29", True),
        ("0 0 29 2 *", "2028-02-29", True),
    ],
)
def test_schedules_that_fire_late_are_refused_with_the_day(
    expression: str, first: str, is_accepted: bool
) -> None:
    now = utc("2026-11-28")
    slot = next_slot(parse_schedule(expression, "UTC"), now)

    assert slot == utc(first)
    if is_accepted:
        accept_schedule(expression, "UTC", now)
        return
    with pytest.raises(
        InvalidScheduleError, match=f"does not fire before {first}; it must fire within 9 years"
    ):
        accept_schedule(expression, "UTC", now)
    accept_schedule(expression, "UTC", utc(first) - 8 * 365 * DAY)


@each_case(
    ("expression", "message"),
    [
        ("0 0 9 ? * 2-6", "2-6 means tue, wed, thu, fri, sat here and mon, tue, wed, thu, fri in Quartz"),
        ("0 9 ? * 1", "1 means mon here and sun in Quartz"),
        ("0 9 ? * 1/2", "1/2 means mon, wed, fri here and sun, tue, thu, sat in Quartz"),
        ("0 9 ? * 0,5", "0,5 means sun, fri here and –, thu in Quartz"),
        ("0 9 ? * 5#3", "5#3 means fri#3 here and thu#3 in Quartz"),
        ("0 9 ? * l6", "l6 means lsat here and lfri in Quartz"),
    ],
)
def test_weekdays_as_numbers_beside_a_question_mark_are_refused_with_both_readings(
    expression: str, message: str
) -> None:
    with pytest.raises(InvalidScheduleError, match=message):
        accept_schedule(expression, "UTC", utc("2026-11-28"))


@each_case("expression", ["0 0 9 ? * mon-fri", "0 9 ? * */2", "0 9 ? * fri#3", "0 9 13 * ?", "0 9 ? * ?"])
def test_question_marks_with_one_reading_are_accepted(expression: str) -> None:
    accept_schedule(expression, "UTC", utc("2026-11-28"))


@each_case(
    ("expression", "notes"),
    [
        ("*/90 */24 * * *", [("*/90", 0), ("*/24", 0)]),
        ("0 0 */32 * *", [("*/32", 1)]),
        ("*/59 */23 */30 */11 */7", []),
        ("@daily", []),
    ],
)
def test_steps_wider_than_their_field_are_noted(expression: str, notes: list[tuple[str, int]]) -> None:
    found = find_wide_steps(expression)

    assert [(note.params["item"], note.params["value"]) for note in found] == notes


@each_case(
    "timezone", ["", ".", "Mars/Base", "../etc/passwd", "/etc/passwd", "Europe", "\x00", "\ud800", "a" * 9999]
)
def test_unknown_zone_is_refused(timezone: str) -> None:
    with pytest.raises(InvalidScheduleError, match="is unknown; allowed are the names of the IANA database"):
        parse_schedule("0 0 * * *", timezone)


@settings(max_examples=1000, deadline=None)
@given(
    st.text(max_size=300)
    | st.lists(st.text("0159*,-/#?@LWRHlwrhmonfeb ", max_size=7), max_size=8).map(" ".join)
)
def test_any_text_is_accepted_or_refused_with_a_sentence(text: str) -> None:
    def read() -> None:
        try:
            schedule = parse_schedule(text, "Europe/Berlin")
        except InvalidScheduleError as error:
            str(error).encode()
        else:
            assert next_slot(schedule, utc("2024-01-01")) is not None

    _, calls = calls_of(read)

    assert calls < 50_000


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=50))
def test_any_zone_is_accepted_or_refused(timezone: str) -> None:
    try:
        parse_schedule("0 0 * * *", timezone)
    except InvalidScheduleError as error:
        str(error).encode()


def test_long_valid_expression_is_checked_with_little_work() -> None:
    expression = ("0-59," * 60)[:-1].removesuffix(",")[:243].rstrip(",-") + " * * * *"

    _, calls = calls_of(lambda: parse_schedule(expression, "UTC"))

    assert calls < 10_000


# --- croniter as oracle ---------------------------------------------------------------------------


def random_field(chance: random.Random, lowest: int, highest: int) -> str:
    def item() -> str:
        low = chance.randint(lowest, highest)
        high = chance.randint(lowest, highest)
        step = chance.randint(1, highest)
        return chance.choice(
            ["*", f"{low}", f"{low}", f"{low}-{high}", f"*/{step}", f"{low}-{high}/{step}", f"{low}/{step}"]
        )

    kind = chance.random()
    if kind < 0.35:
        return "*"
    return item() if kind < 0.8 else ",".join(item() for _ in range(chance.randint(2, 4)))


def random_expression(chance: random.Random) -> str:
    bounds = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]
    fields = [random_field(chance, *pair) for pair in bounds]
    if chance.random() < 0.25:
        fields.insert(0, random_field(chance, 0, 59))
    special = chance.random()
    if special < 0.05:
        fields[-3:] = [chance.choice(["L", "15W", "1W", "31W", "L,7"]), "*", "*"]
    elif special < 0.1:
        fields[-3:] = ["*", "*", chance.choice(["5#3", "L5", "1#1,3#5", "0#2", "7#4"])]
    return " ".join(fields)


def told_plainly(expression: str) -> str:
    """Write both day fields as ``*`` where either may match and one of them has ``*`` in its list.

    croniter joins such fields by AND wherever the ``*`` is, and takes ``3-3`` for every day.
    """
    fields = [",".join(map(without_range, field.split(","))) for field in expression.split()]
    days = fields[-3], fields[-1]
    if not any(field.startswith("*") for field in days) and any("*" in field.split(",") for field in days):
        fields[-3] = fields[-1] = "*"
    return " ".join(fields)


def test_random_expressions_agree_with_croniter_in_utc() -> None:
    chance = random.Random(20260101)
    accepted = 0
    for _ in range(2500):
        expression = random_expression(chance)
        start = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=chance.randint(0, 5 * 365 * 86400))
        try:
            schedule = parse_schedule(expression, "UTC")
        except InvalidScheduleError:
            continue
        accepted += 1
        oracle = croniter(told_plainly(expression), start, second_at_beginning=True, implement_cron_bug=True)
        expected = [oracle.get_next(datetime) for _ in range(5)]
        found = slots_between(schedule, start, start + 4000 * DAY, limit=5)
        assert found == expected[: len(found)], expression
        assert len(found) == 5 or expected[len(found)] > start + 4000 * DAY, expression
    assert accepted > 1000


# --- daylight saving ------------------------------------------------------------------------------


@each_case(
    ("expression", "is_fixed"),
    [
        ("30 2 * * *", True),
        ("30 2,14 * * *", True),
        ("*/20 2 * * *", True),
        ("* 9-17 * * *", True),
        ("0 */6 * * *", True),
        ("0 * * * *", False),
        ("*/15 * * * *", False),
        ("0 0-23 * * *", False),
        ("0 */1 * * *", False),
        ("* * * * * *", False),
    ],
)
def test_hours_are_fixed_when_fewer_than_24_are_named(expression: str, is_fixed: bool) -> None:
    assert has_fixed_hours(parse_schedule(expression, "Europe/Berlin")) is is_fixed


GAP_DAYS = [
    ("Europe/Berlin", "2026-03-29", "30 2 * * *", ["29 03:00+0200"]),
    ("Europe/Berlin", "2026-03-29", "*/20 2 * * *", ["29 03:00+0200"]),
    ("Europe/Berlin", "2026-03-29", "30 2,14 * * *", ["29 03:00+0200", "29 14:30+0200"]),
    ("Europe/Berlin", "2026-03-29", "0 2,3 * * *", ["29 03:00+0200"]),
    ("Europe/Berlin", "2026-03-29", "30 1-3 * * *", ["29 01:30+0100", "29 03:00+0200", "29 03:30+0200"]),
    ("America/New_York", "2026-03-08", "30 2 * * *", ["08 03:00-0400"]),
    ("Australia/Lord_Howe", "2026-10-04", "15 2 * * *", ["04 02:30+1100"]),
    ("Asia/Beirut", "2026-03-29", "0 0 * * *", ["29 01:00+0300"]),
    ("Asia/Beirut", "2026-03-29", "30 0,1 * * *", ["29 01:00+0300", "29 01:30+0300"]),
    ("Africa/Cairo", "2026-04-24", "0 0 * * *", ["24 01:00+0300"]),
    ("America/Santiago", "2026-09-06", "30 0 * * *", ["06 01:00-0300"]),
    ("America/Sao_Paulo", "2018-11-04", "0 0 * * *", ["04 01:00-0200"]),
    ("Asia/Pyongyang", "2018-05-05", "45 23 * * *", ["05 00:00+0900", "05 23:45+0900"]),
    ("Pacific/Apia", "2011-12-31", "0 12 * * *", ["31 12:00+1400"]),
]
FOLD_DAYS = [
    ("Europe/Berlin", "2026-10-25", "30 2 * * *", ["25 02:30+0200"]),
    ("Europe/Berlin", "2026-10-25", "0 3 * * *", ["25 03:00+0100"]),
    ("Europe/Berlin", "2026-10-25", "*/20 2 * * *", ["25 02:00+0200", "25 02:20+0200", "25 02:40+0200"]),
    ("America/New_York", "2026-11-01", "30 1 * * *", ["01 01:30-0400"]),
    ("Australia/Lord_Howe", "2026-04-05", "45 1 * * *", ["05 01:45+1100"]),
    ("Asia/Beirut", "2026-10-24", "30 23 * * *", ["24 23:30+0300"]),
    ("Asia/Beirut", "2026-10-25", "0 0 * * *", ["25 00:00+0200"]),
    ("Africa/Cairo", "2026-10-29", "30 23 * * *", ["29 23:30+0300"]),
    ("America/Santiago", "2026-04-04", "30 23 * * *", ["04 23:30-0300"]),
    ("America/Havana", "2026-11-01", "0 0 * * *", ["01 00:00-0400"]),
]


@each_case(("timezone", "day", "expression", "expected"), GAP_DAYS)
def test_fixed_time_in_a_gap_runs_once_at_its_end(
    timezone: str, day: str, expression: str, expected: list[str]
) -> None:
    assert local_slots(expression, timezone, day, day) == expected


@each_case(("timezone", "day", "expression", "expected"), FOLD_DAYS)
def test_fixed_time_in_a_fold_runs_at_the_first_of_two(
    timezone: str, day: str, expression: str, expected: list[str]
) -> None:
    assert local_slots(expression, timezone, day, day) == expected


@pytest.mark.proves("G3")
@each_case(
    ("timezone", "day", "hours"),
    [
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("America/New_York", "2026-03-08", 23),
        ("America/New_York", "2026-11-01", 25),
        ("Asia/Beirut", "2026-03-29", 23),
        ("Asia/Beirut", "2026-10-24", 25),
        ("Asia/Shanghai", "2026-10-25", 24),
    ],
)
def test_hourly_expressions_follow_elapsed_time(timezone: str, day: str, hours: int) -> None:
    assert len(local_slots("0 * * * *", timezone, day, day)) == hours
    assert len(local_slots("*/15 * * * *", timezone, day, day)) == hours * 4


def test_half_hour_change_leaves_an_hourly_slot_out_or_adds_none() -> None:
    spring = local_slots("0 * * * *", "Australia/Lord_Howe", "2026-10-04", "2026-10-04")
    autumn = local_slots("45 * * * *", "Australia/Lord_Howe", "2026-04-05", "2026-04-05")

    assert spring[1:4] == ["04 01:00+1030", "04 03:00+1100", "04 04:00+1100"]
    assert autumn[1:4] == ["05 01:45+1100", "05 01:45+1030", "05 02:45+1030"]


def test_day_that_does_not_exist_has_no_slot() -> None:
    assert local_slots("0 12 * * *", "Pacific/Apia", "2011-12-29", "2011-12-31") == [
        "29 12:00-1000",
        "31 12:00+1400",
    ]


def fixed_times(timezone: str) -> list[str]:
    """Times of the day that some change of the zone skips or repeats, and noon, as expressions."""
    walls = {
        (low + timedelta(minutes=7)).strftime("%-M %-H * * *")
        for year in range(2016, 2027)
        for change in changes_of_year(timezone, year)
        for low in [min(change.wall_before, change.wall_after)]
    }
    return [*sorted(walls), "0 12 * * *"]


def days_that_exist(timezone: str, first: date, days: int) -> list[date]:
    missing = {
        day.date()
        for year in range(first.year, first.year + days // 365 + 2)
        for change in changes_around(timezone, year)
        for day in [change.missing_days()[0]]
        if day < change.missing_days()[1]
    }
    return [day for day in (first + n * DAY for n in range(days)) if day not in missing]


TEN_YEARS_FROM, TEN_YEARS = date(2016, 1, 2), 3650
A_YEAR = 365


def rules_of(timezone: str) -> tuple[object, ...]:
    """Return what distinguishes a zone in the ten years; most of the names are synonyms."""
    start = datetime(2015, 6, 1, tzinfo=zoneinfo.ZoneInfo(timezone)).utcoffset()
    return start, *(change for year in range(2015, 2028) for change in changes_of_year(timezone, year))


def expected_slot(wall: datetime, zone: zoneinfo.ZoneInfo, changes: set[datetime]) -> set[datetime]:
    """Return the first instant at which clocks show `wall`; when they never do, the changes of those days."""
    instant = wall.replace(tzinfo=zone).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == wall:
        return {instant}
    return {change for change in changes if abs(change - instant) <= timedelta(hours=1)}


@pytest.mark.parametrize("span", [2 * A_YEAR, pytest.param(TEN_YEARS, marks=pytest.mark.campaign)])
def test_fixed_hour_runs_once_a_local_day_in_every_zone_for_years(span: int) -> None:
    """Zones whose clocks change at the same instants by the same amounts are looked at once."""
    zones = {rules_of(timezone): timezone for timezone in reversed(ZONES)}
    for timezone in zones.values():
        zone = zoneinfo.ZoneInfo(timezone)
        changes = {c.at for year in range(2015, 2028) for c in changes_of_year(timezone, year)}
        days = days_that_exist(timezone, TEN_YEARS_FROM, span)
        expression = fixed_times(timezone)[0]
        minute, hour = (int(text) for text in expression.split()[:2])
        walls = [datetime(day.year, day.month, day.day, hour, minute) for day in days]
        schedule = parse_schedule(expression, timezone)
        before = walls[0].replace(tzinfo=zone).astimezone(UTC) - SECOND

        slots = slots_between(schedule, before, before + 4000 * DAY, limit=len(walls))

        for wall, slot in zip(walls, slots, strict=True):
            assert slot in expected_slot(wall, zone, changes), (timezone, expression, wall)


@pytest.mark.proves("G3")
def test_each_time_that_a_change_touches_runs_once_a_local_day_in_every_zone() -> None:
    """Counts the ten years for every name of a zone and each time of day that a change skips or repeats."""
    for timezone in ZONES:
        zone = zoneinfo.ZoneInfo(timezone)
        days = days_that_exist(timezone, TEN_YEARS_FROM, TEN_YEARS)
        ends = (TEN_YEARS_FROM, TEN_YEARS_FROM + TEN_YEARS * DAY)
        start, end = (datetime(d.year, d.month, d.day, tzinfo=zone).astimezone(UTC) - SECOND for d in ends)
        for expression in fixed_times(timezone):
            count = count_slots(parse_schedule(expression, timezone), start, end)
            assert count == len(days), (timezone, expression)


def test_transitions_are_described_before_they_come() -> None:
    schedule = parse_schedule("30 2 * * *", "Europe/Berlin")

    effects = describe_transitions(schedule, utc("2026-01-01"))

    assert [(e.day, e.kind, e.wall, e.runs_at) for e in effects] == [
        (date(2026, 3, 29), "gap", "02:30", utc("2026-03-29T01:00")),
        (date(2026, 10, 25), "fold", "02:30", utc("2026-10-25T00:30")),
    ]


@each_case(
    ("expression", "timezone"),
    [("0 * * * *", "Europe/Berlin"), ("0 12 * * *", "Europe/Berlin"), ("30 2 * * *", "Asia/Shanghai")],
)
def test_schedule_that_no_change_touches_has_no_transitions(expression: str, timezone: str) -> None:
    assert describe_transitions(parse_schedule(expression, timezone), utc("2026-01-01")) == []


# --- laws -----------------------------------------------------------------------------------------

EXPRESSIONS = st.sampled_from(
    [
        "30 2 * * *",
        "*/20 0-2 * * *",
        "0 0 * * *",
        "30 23 * * *",
        "0 */6 * * *",
        "0 * * * *",
        "*/15 * * * *",
        "0 0 1 * *",
        "45 1 * * 0",
        "*/10 0 0,12 * * *",
        "30 30 * * * *",
    ]
)
NEAR_CHANGES = st.builds(
    lambda timezone, year, which, seconds: (timezone, moment_near_change(timezone, year, which, seconds)),
    st.sampled_from(LIVELY_ZONES),
    st.integers(2009, 2030),
    st.integers(0, 50),
    st.integers(-200_000, 100_000),
)


def moment_near_change(timezone: str, year: int, which: int, seconds: int) -> datetime:
    changes = changes_of_year(timezone, year)
    base = changes[which % len(changes)].at if changes else datetime(year, 6, 1, tzinfo=UTC)
    return base + timedelta(seconds=seconds)


@settings(max_examples=400, deadline=None)
@given(EXPRESSIONS, NEAR_CHANGES, st.integers(0, 200_000), st.integers(0, 200_000))
def test_slots_of_two_spans_are_those_of_the_whole(
    expression: str, near: tuple[str, datetime], first: int, second: int
) -> None:
    timezone, start = near
    schedule = parse_schedule(expression, timezone)
    middle = start + first * SECOND
    end = middle + second * SECOND

    whole = slots_between(schedule, start, end)

    assert whole == slots_between(schedule, start, middle) + slots_between(schedule, middle, end)
    assert all(a < b for a, b in pairwise(whole))
    assert all(start < slot <= end for slot in whole)
    assert count_slots(schedule, start, end) == len(whole)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["0 * * * *", "*/15 * * * *", "30 30 * * * *"]), NEAR_CHANGES)
def test_elapsed_slots_are_the_instants_whose_wall_clock_matches(
    expression: str, near: tuple[str, datetime]
) -> None:
    timezone, start = near
    zone = zoneinfo.ZoneInfo(timezone)
    start = start.replace(second=0)
    naive = parse_schedule(expression, "UTC")
    instants = [start + n * 30 * SECOND for n in range(1, 600)]

    def matches(instant: datetime) -> bool:
        wall = instant.astimezone(zone).replace(tzinfo=UTC)
        return next_slot(naive, wall - SECOND) == wall

    found = slots_between(parse_schedule(expression, timezone), start, instants[-1])

    assert found == [instant for instant in instants if matches(instant)]


def test_slots_are_the_same_from_an_instant_in_any_zone() -> None:
    schedule = parse_schedule("30 2 * * *", "Europe/Berlin")
    instant = utc("2026-10-25T00:45")

    elsewhere = next_slot(schedule, instant.astimezone(zoneinfo.ZoneInfo("Asia/Shanghai")))

    assert elsewhere == next_slot(schedule, instant) == utc("2026-10-26T01:30")
    assert elsewhere is not None
    assert elsewhere.tzinfo is UTC


def test_naive_instant_is_refused() -> None:
    with pytest.raises(ValueError, match="after is naive"):
        next_slot(parse_schedule("0 0 * * *", "UTC"), datetime(2026, 1, 1))


@each_case("after", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
def test_ends_of_time_raise_nothing(after: datetime) -> None:
    for timezone in ("Pacific/Apia", "America/New_York"):
        next_slot(parse_schedule("0 0 29 2 *", timezone), after)
        next_slot(parse_schedule("* * * * *", timezone), after)


def test_limit_gives_the_first_slots() -> None:
    schedule = parse_schedule("0 * * * *", "UTC")
    start, end = utc("2026-01-01"), utc("2026-01-02")

    assert slots_between(schedule, start, end, limit=2) == [utc("2026-01-01T01:00"), utc("2026-01-01T02:00")]
    assert slots_between(schedule, start, end, limit=0) == []


def test_next_slot_takes_little_work() -> None:
    schedules = [
        parse_schedule(f"{n % 60} {n % 24} * * {n % 7}", timezone)
        for n, timezone in enumerate(LIVELY_ZONES * 72)
    ]
    now = utc("2026-03-29T00:30")

    _, calls = calls_of(lambda: [next_slot(schedule, now) for schedule in schedules])

    assert calls < 250 * len(schedules)
