"""The words of a schedule say its slots: they are read back, in both languages, and give the same instants."""

from __future__ import annotations

import re
from calendar import day_name, month_name, monthrange
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import islice, product

import pytest
from cron_descriptor import ExpressionDescriptor, Options
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from scheduler.engine.schedules import parse_schedule, slots_between
from scheduler.exceptions import InvalidScheduleError
from scheduler.wording.schedules import describe_schedule
from tests.support.cases import each_case

SPAN, COMPARED = timedelta(days=3 * 366), 25
DayTest = Callable[[date], bool]
CLOCK = re.compile(r"\d\d:\d\d(?::\d\d)?")


# --- reading words --------------------------------------------------------------------------------


@dataclass
class Reading:
    """What a reader of a sentence expects."""

    seconds: set[int] = field(default_factory=lambda: {0})
    minutes: set[int] = field(default_factory=lambda: set(range(60)))
    hours: set[int] = field(default_factory=lambda: set(range(24)))
    clocks: set[tuple[int, int, int]] | None = None
    months: set[int] = field(default_factory=lambda: set(range(1, 13)))
    is_due: DayTest = lambda day: True

    def times(self) -> list[tuple[int, int, int]]:
        if self.clocks is not None:
            return sorted(self.clocks)
        return sorted(product(self.hours, self.minutes, self.seconds))

    def instants(self, after: datetime, until: datetime) -> Iterator[datetime]:
        times, day = self.times(), after.date()
        while day <= until.date():
            if day.month in self.months and self.is_due(day):
                for hour, minute, second in times:
                    at = datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=UTC)
                    if after < at <= until:
                        yield at
            day += timedelta(days=1)


def length(day: date) -> int:
    return monthrange(day.year, day.month)[1]


def is_nearest(wanted: int) -> DayTest:
    def test(day: date) -> bool:
        meant = day.replace(day=min(wanted, length(day)))
        candidates = [day.replace(day=number) for number in range(1, length(day) + 1)]
        weekdays = [candidate for candidate in candidates if candidate.weekday() < 5]
        return day == min(weekdays, key=lambda candidate: abs((candidate - meant).days))

    return test


def is_nth(pairs: list[tuple[int, int]]) -> DayTest:
    """Return whether a day is the n-th (0: last) of a weekday (0: Monday) in its month."""
    return lambda day: any(
        day.weekday() == weekday and ((day.day + 6) // 7 == number if number else day.day + 7 > length(day))
        for number, weekday in pairs
    )


def is_one_of(days: set[int], *, with_last: bool = False) -> DayTest:
    return lambda day: day.day in days or (with_last and day.day == length(day))


def clock(text: str) -> tuple[int, int, int]:
    hour, minute, second = [*map(int, text.split(":")), 0][:3]
    return hour, minute, second


def numbers(text: str) -> set[int]:
    found = [int(number) for number in re.findall(r"\d+", text)]
    if "through" in text or "到" in text:
        low, high, step = [*found, 1][:3]
        return set(range(low, high + 1, step))
    return set(found)


NUMBERS = r"\d+(?:, \d+)* and \d+|\d+ through \d+(?: in steps of \d+)?|\d+"
DAY_NAMES = list(day_name)
MONTHS = list(month_name)
ENGLISH_ORDINALS = ["last", "first", "second", "third", "fourth", "fifth"]
CHINESE_ORDINALS = ["最后一", "第一", "第二", "第三", "第四", "第五"]
NUMERALS = "一二三四五六日"
#: parts of a sentence about times, with what each does to a reading
Times = list[tuple[str, Callable[[Reading, re.Match[str]], None]]]
#: parts about days: pattern, and the test of a day
Days = list[tuple[str, Callable[[re.Match[str]], DayTest]]]


def every(reading: Reading, unit: str, step: int) -> None:
    if unit == "second":
        reading.seconds = set(range(0, 60, step))
    elif unit == "minute":
        reading.minutes = set(range(0, 60, step))
    else:
        reading.minutes, reading.hours = {0}, set(range(0, 24, step))


def hours_from(reading: Reading, step: int, first: str, last: str) -> None:
    (hour, minute, second), (end, _, _) = clock(first), clock(last)
    reading.clocks = {(number, minute, second) for number in range(hour, end + 1, step)}


def set_clocks(reading: Reading, text: str) -> None:
    reading.clocks = {clock(found) for found in CLOCK.findall(text)}


def put(reading: Reading, unit: str, values: set[int]) -> None:
    setattr(reading, f"{unit}s", values)


EN_TIMES: Times = [
    (r"At (\d\d:\d\d(?::\d\d)?(?:(?:, | and )\d\d:\d\d(?::\d\d)?)*)", lambda r, m: set_clocks(r, m[1])),
    (
        r"Every (?:(\d+) )?hours? from (\d\d:\d\d(?::\d\d)?) to (\d\d:\d\d(?::\d\d)?)",
        lambda r, m: hours_from(r, int(m[1] or 1), m[2], m[3]),
    ),
    (r"Every (?:(\d+) )?(second|minute|hour)s?", lambda r, m: every(r, m[2], int(m[1] or 1))),
    (rf"At ({NUMBERS}) (second|minute)s? past the (?:minute|hour)", lambda r, m: put(r, m[2], numbers(m[1]))),
    (
        rf"(Second|Minute)s ({NUMBERS}) past the (?:minute|hour)",
        lambda r, m: put(r, m[1].lower(), numbers(m[2])),
    ),
    (rf"in the (minute|hour)s? ({NUMBERS})", lambda r, m: put(r, m[1], numbers(m[2]))),
    (
        r"between (\d\d):00 and (\d\d):59",
        lambda r, m: put(r, "hour", set(range(int(m[1]), int(m[2]) + 1))),
    ),
]
WEEKDAY = "|".join(DAY_NAMES)
ORDINAL = "|".join(ENGLISH_ORDINALS)
EN_DAYS: Days = [
    (
        r"between day (\d+) and (\d+) of the month",
        lambda m: is_one_of(set(range(int(m[1]), int(m[2]) + 1))),
    ),
    (
        r"every (\d+) days from day (\d+) to (\d+) of the month",
        lambda m: is_one_of(set(range(int(m[2]), int(m[3]) + 1, int(m[1])))),
    ),
    (r"on the last day of the month", lambda m: is_one_of(set(), with_last=True)),
    (
        r"on day (\d+(?:, \d+)*(?: and \d+)?)( and the last day)? of the month",
        lambda m: is_one_of(numbers(m[1]), with_last=m[2] is not None),
    ),
    (r"on the weekday nearest day (\d+) of the month", lambda m: is_nearest(int(m[1]))),
    (
        rf"on the (?:{ORDINAL}) (?:{WEEKDAY})(?:(?:, | and )the (?:{ORDINAL}) (?:{WEEKDAY}))* of the month",
        lambda m: is_nth(
            [
                (ENGLISH_ORDINALS.index(number), DAY_NAMES.index(name))
                for number, name in re.findall(rf"({ORDINAL}) ({WEEKDAY})", m[0])
            ]
        ),
    ),
    (
        rf"({WEEKDAY}) through ({WEEKDAY})",
        lambda m: lambda day: DAY_NAMES.index(m[1]) <= day.weekday() <= DAY_NAMES.index(m[2]),
    ),
    (
        rf"on (?:{WEEKDAY})(?:(?:, | and )(?:{WEEKDAY}))*",
        lambda m: lambda day: day_name[day.weekday()] in m[0],
    ),
]
MONTH = "|".join(MONTHS[1:])


def english_months(text: str) -> set[int] | None:
    if match := re.fullmatch(r"every (\d+) months", text):
        return set(range(1, 13, int(match[1])))
    if match := re.fullmatch(rf"({MONTH}) through ({MONTH})", text):
        return set(range(MONTHS.index(match[1]), MONTHS.index(match[2]) + 1))
    if re.fullmatch(rf"only in (?:{MONTH})(?:(?:, | and )(?:{MONTH}))*", text):
        return {MONTHS.index(name) for name in re.findall(MONTH, text)}
    return None


ZH_NUMBERS = r"\d+(?:、\d+)*(?: 和 \d+)?|\d+ 到 \d+"
ZH_UNITS = {"秒": "second", "分钟": "minute", "小时": "hour", "分": "minute", "点": "hour"}


def chinese_numbers(match: re.Match[str]) -> set[int]:
    return numbers(match[0] if "到" in match[0] else match[1])


ZH_TIMES: Times = [
    (r"(?:每天 )?(\d\d:\d\d(?::\d\d)?(?:(?:、| 和 )\d\d:\d\d(?::\d\d)?)*)", lambda r, m: set_clocks(r, m[1])),
    (
        r"从 (\d\d:\d\d(?::\d\d)?) 到 (\d\d:\d\d(?::\d\d)?) 每(?: (\d+) )?小时",
        lambda r, m: hours_from(r, int(m[3] or 1), m[1], m[2]),
    ),
    (r"每(?: (\d+) )?(秒|分钟|小时)", lambda r, m: every(r, ZH_UNITS[m[2]], int(m[1] or 1))),
    (
        rf"在每(?:分钟|小时)的 ({ZH_NUMBERS}) (秒|分)(?:（步长 \d+）)?",
        lambda r, m: put(r, ZH_UNITS[m[2]], chinese_numbers(m)),
    ),
    (rf"在第 ({ZH_NUMBERS}) 分钟(?:（步长 \d+）)?", lambda r, m: put(r, "minute", chinese_numbers(m))),
    (rf"在 ({ZH_NUMBERS}) 点(?:（步长 \d+）)?", lambda r, m: put(r, "hour", chinese_numbers(m))),
    (
        r"在 (\d\d):00 和 (\d\d):59 之间",
        lambda r, m: put(r, "hour", set(range(int(m[1]), int(m[2]) + 1))),
    ),
]
ZH_ORDINAL = "|".join(CHINESE_ORDINALS)
ZH_DAYS: Days = [
    (r"在每月 (\d+) 和 (\d+) 号之间", lambda m: is_one_of(set(range(int(m[1]), int(m[2]) + 1)))),
    (
        r"从每月 (\d+) 号到 (\d+) 号每 (\d+) 天",
        lambda m: is_one_of(set(range(int(m[1]), int(m[2]) + 1, int(m[3])))),
    ),
    (r"每月最后一天", lambda m: is_one_of(set(), with_last=True)),
    (
        r"每月 (\d+(?:、\d+)*(?: 和 \d+)?) 号(和最后一天)?",
        lambda m: is_one_of(numbers(m[1]), with_last=m[2] is not None),
    ),
    (r"每月最接近 (\d+) 号的工作日", lambda m: is_nearest(int(m[1]))),
    (
        rf"每月(?:{ZH_ORDINAL})个星期[{NUMERALS}](?:[、和](?:{ZH_ORDINAL})个星期[{NUMERALS}])*",
        lambda m: is_nth(
            [
                (CHINESE_ORDINALS.index(number), NUMERALS.index(name))
                for number, name in re.findall(rf"({ZH_ORDINAL})个星期(.)", m[0])
            ]
        ),
    ),
    (
        rf"星期([{NUMERALS}])到星期([{NUMERALS}])",
        lambda m: lambda day: NUMERALS.index(m[1]) <= day.weekday() <= NUMERALS.index(m[2]),
    ),
    (
        rf"星期[{NUMERALS}](?:[、和]星期[{NUMERALS}])*",
        lambda m: lambda day: f"星期{NUMERALS[day.weekday()]}" in m[0],
    ),
]


def chinese_months(text: str) -> set[int] | None:
    if match := re.fullmatch(r"每 (\d+) 个月", text):
        return set(range(1, 13, int(match[1])))
    if match := re.fullmatch(r"(\d+) 月到 (\d+) 月", text):
        return set(range(int(match[1]), int(match[2]) + 1))
    if re.fullmatch(r"仅在 \d+ 月(?:(?:、|和 )\d+ 月)*", text):
        return numbers(text)
    return None


def take(
    patterns: list[tuple[str, object]], text: str, comma: str
) -> tuple[object, re.Match[str], str] | None:
    """Return what the longest pattern at the start of `text` means, and the rest after its comma."""
    matches = [
        (match, meaning)
        for pattern, meaning in patterns
        if (match := re.match(rf"(?:{pattern})(?={comma}|\Z)", text)) is not None
    ]
    if not matches:
        return None
    match, meaning = max(matches, key=lambda found: found[0].end())
    return meaning, match, text[match.end() :].removeprefix(comma)


def read(words: str, language: str) -> Reading:
    """Read a sentence; each part of it must be understood."""
    times, days, months, comma, either, both = (
        (EN_TIMES, EN_DAYS, english_months, ", ", "or ", "but only ")
        if language == "en"
        else (ZH_TIMES, ZH_DAYS, chinese_months, "，", "或", "且仅限")
    )
    reading, rest = Reading(), words
    if re.match(r"Every second|Every \d+ seconds|每秒|每 \d+ 秒", words):
        reading.seconds = set(range(60))
    while (found := take(times, rest, comma)) is not None:  # type: ignore[arg-type]  # a list of both kinds
        meaning, match, rest = found
        meaning(reading, match)  # type: ignore[operator]
    if (found := take(days, rest, comma)) is not None:  # type: ignore[arg-type]
        meaning, match, rest = found
        reading.is_due = first = meaning(match)  # type: ignore[operator]
        for word, is_either in ((either, True), (both, False)):
            if rest.startswith(word):
                second_found = take(days, rest.removeprefix(word), comma)  # type: ignore[arg-type]
                assert second_found is not None, words
                meaning, match, rest = second_found
                reading.is_due = joined(first, meaning(match), is_either=is_either)  # type: ignore[operator]
    if rest:
        found_months = months(rest)
        assert found_months is not None, f"{words}: {rest}"
        reading.months = found_months
    return reading


def joined(one: DayTest, other: DayTest, *, is_either: bool) -> DayTest:
    return lambda day: (one(day) or other(day)) if is_either else (one(day) and other(day))


# --- expressions ----------------------------------------------------------------------------------


def fields(lowest: int, highest: int, names: str = "") -> st.SearchStrategy[str]:
    value = st.integers(lowest, highest).map(str)
    if names:
        value |= st.sampled_from(names.split())
    pair = st.tuples(st.integers(lowest, highest), st.integers(lowest, highest)).map(sorted)
    ranged = pair.map(lambda ends: f"{ends[0]}-{ends[1]}")
    step = st.integers(1, highest)
    item = st.one_of(
        value,
        value,
        ranged,
        st.builds("{}/{}".format, ranged, step),
        st.builds("*/{}".format, step),
        st.builds("{}/{}".format, value, step),
        st.just("*"),
    )
    return st.one_of(st.just("*"), item, item, st.lists(item, min_size=2, max_size=4).map(",".join))


WEEKDAY_NAMES = "sun mon tue wed thu fri sat"
MONTH_NAMES = "jan feb mar apr may jun jul aug sep oct nov dec"
NTH = st.builds("{}#{}".format, st.sampled_from([*WEEKDAY_NAMES.split(), *"0123456"]), st.integers(1, 5))
DAY_FIELDS = st.one_of(
    st.tuples(fields(1, 31), fields(0, 7, WEEKDAY_NAMES)),
    st.tuples(fields(1, 31), fields(0, 7, WEEKDAY_NAMES)),
    st.tuples(st.sampled_from(["l", "L", "L,15", "L,1-7", "15W", "1w", "31W", "?"]), st.just("*")),
    st.tuples(st.just("*"), st.lists(NTH, min_size=1, max_size=3).map(",".join)),
    st.tuples(st.just("*"), st.sampled_from(["L5", "l0", "L7", "L1,L2", "?"])),
)
EXPRESSIONS = st.builds(
    lambda second, minute, hour, days, month: " ".join([*second, minute, hour, days[0], month, days[1]]),
    st.one_of(st.just([]), st.just([]), fields(0, 59).map(lambda text: [text])),
    fields(0, 59),
    fields(0, 23),
    DAY_FIELDS,
    st.one_of(st.just("*"), fields(1, 12, MONTH_NAMES)),
)
STARTS = st.integers(0, 6 * 365).map(
    lambda days: datetime(2024, 1, 1, 12, 34, 56, tzinfo=UTC) + timedelta(days)
)


def compare(expression: str, start: datetime) -> None:
    try:
        schedule = parse_schedule(expression, "UTC")
    except InvalidScheduleError:
        assume(False)
    slots = slots_between(schedule, start, start + SPAN, limit=COMPARED)
    for language in ("en", "zh-hans"):
        words = describe_schedule(expression, language)
        told = list(islice(read(words, language).instants(start, start + SPAN), COMPARED))
        assert told == slots, f"{expression}: {words}"


QUICK = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(QUICK, max_examples=20_000)


@QUICK
@given(EXPRESSIONS, STARTS)
def test_words_say_the_slots(expression: str, start: datetime) -> None:
    compare(expression, start)


@pytest.mark.campaign
@LONG
@given(EXPRESSIONS, STARTS)
def test_words_of_20000_expressions_say_the_slots(expression: str, start: datetime) -> None:
    compare(expression, start)


# --- known sentences ------------------------------------------------------------------------------


@each_case(
    ("expression", "english", "chinese"),
    [
        (
            "0 0 13 * 1-5",
            "At 00:00, on day 13 of the month, or Monday through Friday",
            "00:00，每月 13 号，或星期一到星期五",
        ),
        (
            "0 0 */2 * 1",
            "At 00:00, every 2 days from day 1 to 31 of the month, but only on Monday",
            "00:00，从每月 1 号到 31 号每 2 天，且仅限星期一",
        ),
        ("0 0 22,* * mon", "At 00:00", "每天 00:00"),
        ("0 9 1 */3 *", "At 09:00, on day 1 of the month, every 3 months", "09:00，每月 1 号，每 3 个月"),
        ("0 8/4 * * *", "At 08:00, 12:00, 16:00 and 20:00", "每天 08:00、12:00、16:00 和 20:00"),
        ("5/15 * * * *", "At 5, 20, 35 and 50 minutes past the hour", "在每小时的 5、20、35 和 50 分"),
        ("*/45 * * * *", "At 0 and 45 minutes past the hour", "在每小时的 0 和 45 分"),
        (
            "0 */5 * * *",
            "At 00:00, 05:00, 10:00, 15:00 and 20:00",
            "每天 00:00、05:00、10:00、15:00 和 20:00",
        ),
        ("0 23 * * *", "At 23:00", "每天 23:00"),
        (
            "0 0 * * mon#1,wed#3",
            "At 00:00, on the first Monday and the third Wednesday of the month",
            "00:00，每月第一个星期一和第三个星期三",
        ),
        (
            "0 0 15w * *",
            "At 00:00, on the weekday nearest day 15 of the month",
            "00:00，每月最接近 15 号的工作日",
        ),
        ("0 0 l * *", "At 00:00, on the last day of the month", "00:00，每月最后一天"),
        ("0 0 L,15 * *", "At 00:00, on day 15 and the last day of the month", "00:00，每月 15 号和最后一天"),
        (
            "3 */2 * * *",
            "Every 2 hours from 00:03 to 22:03",
            "从 00:03 到 22:03 每 2 小时",
        ),
        ("no schedule", "no schedule", "no schedule"),
    ],
)
def test_sentences_where_a_library_contradicts_the_slots(expression: str, english: str, chinese: str) -> None:
    assert describe_schedule(expression, "en") == english
    assert describe_schedule(expression, "zh-hans") == chinese


@each_case(
    "expression",
    [
        "30 2 * * *",
        "30 9,12,18 * * *",
        "*/5 * * * *",
        "0 */6 * * *",
        "* * * * *",
        "0 * * * *",
        "*/10 * * * * *",
        "15 30 2 * * *",
        "5,35 * * * *",
        "*/15 8-18 * * mon-fri",
        "0 0 1,15 * *",
        "0 0 1-7 * *",
        "0 9 1 */3 *",
        "0 0 13 * 5",
        "0 0 * * 5#3",
        "0 0 * * L5",
        "0 0 L * *",
        "0 0 15W * *",
        "0 0 29 2 *",
        "0 6 1,15 1,6 *",
        "0 0 1 3-6 *",
        "1-5 * * * *",
    ],
)
def test_the_words_are_those_of_cron_descriptor_where_it_is_right(expression: str) -> None:
    options = Options()
    options.use_24hour_time_format = True

    library = str(ExpressionDescriptor(expression, options).get_description())

    assert describe_schedule(expression).lower() == library.lower()
