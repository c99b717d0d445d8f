"""Instants and durations: one format per kind of place, in both languages, on the server and in the browser."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.utils import translation

from scheduler.engine.reasons import Reason
from scheduler.templatetags import scheduler_site
from scheduler.wording import times
from scheduler.wording.reasons import Code, told
from tests.support.cases import each_case

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECONDS = (0.314, 0.5, 12.4, 90, 185, 900, 3600, 5400, 90_000, 172_800)
FORMATS = re.compile(
    r"\{[^{}]*:[^{}]*%[HMYmd]|strftime\(|date_format\(|\.isoformat\(|\|(date|time|timesince|naturaltime)"
)
#: What formats instants for programs, or asks the clock of a machine.
OTHERS = {
    "scheduler/engine/times.py": "the module itself",
    "scheduler/wording/times.py": "the module itself",
    "scheduler/engine/schedules.py": "a wall-clock time that no instant has",
    "scheduler/views/overview.py": "the key of a cache, and an address",
    "scheduler/views/timeline.py": "an address",
    "scheduler/views/schedule_hint.py": "a day",
    "scheduler/wording/changed_days.py": "days",
    "scheduler/models/session_store.py": "stored in a session",
    "notifications/services/delivery_rows.py": "keys of deliveries",
    "scheduler/processes/foreman.py": "lines of a log",
    "notifications/services/overdue.py": "keys of deliveries",
    "notifications/engine/deadlines.py": "reads",
    "schedsite/settings.py": "the API framework",
}


@each_case(
    ("at", "listed", "since", "adverb"),
    [
        (NOW - timedelta(hours=10), "02:00 UTC", "02:00", "at 02:00"),
        (NOW - timedelta(seconds=50), "11:59:10 UTC", "11:59", "at 11:59"),
        (NOW - timedelta(hours=20), "yesterday 16:00 UTC", "yesterday 16:00", "yesterday at 16:00"),
        (NOW + timedelta(hours=20), "tomorrow 08:00 UTC", "tomorrow 08:00", "tomorrow at 08:00"),
        (NOW - timedelta(days=3), "21 Nov 12:00 UTC", "21 Nov 12:00", "on 21 Nov at 12:00"),
        (NOW - timedelta(days=400), "20 Oct 2025 12:00 UTC", "20 Oct 2025 12:00", "on 20 Oct 2025 at 12:00"),
    ],
)
def test_an_instant_has_one_format_per_kind_of_place(
    at: datetime, listed: str, since: str, adverb: str
) -> None:
    with translation.override("en"):
        texts = [write(at, "UTC", NOW) for write in (times.list_instant, times.since_instant)]
        texts.append(times.sentence_instant(at, "UTC", NOW))

    assert texts == [listed, since, adverb]


def test_an_instant_is_that_of_the_zone() -> None:
    at = NOW + timedelta(hours=5)
    with translation.override("en"):
        texts = [
            times.since_instant(at, "Asia/Shanghai", NOW),
            times.exact_instant(at, "Europe/Berlin"),
            times.offset_instant(at, "America/New_York"),
            times.time_with_zone(at, "Europe/Berlin"),
            times.axis_time(at, "Europe/Berlin"),
            times.axis_day(at, "Asia/Shanghai"),
            times.span(at, at + timedelta(hours=8), "Europe/Berlin"),
        ]

    assert texts == [
        "tomorrow 01:00",
        "2026-11-24 18:00:00 CET",
        "2026-11-24 12:00:00 -05:00",
        "18:00 CET",
        "18:00",
        "11-25",
        "24 Nov 2026 18:00 – 25 Nov 02:00",
    ]


def test_durations_of_lists_are_aligned() -> None:
    with translation.override("en"):
        texts = [times.list_duration(seconds) for seconds in SECONDS]

    assert texts == [
        "0.31 s",
        "0.50 s",
        "12 s",
        "1 m 30 s",
        "3 m 05 s",
        "15 m 00 s",
        "1 h 00 m",
        "1 h 30 m",
        "1 d 01 h",
        "2 d 00 h",
    ]


def test_durations_of_sentences_are_exact_and_have_no_zeros() -> None:
    with translation.override("en"):
        texts = [times.sentence_duration(seconds) for seconds in SECONDS]

    assert texts == [
        "0.31 s",
        "0.5 s",
        "12.4 s",
        "1 min 30 s",
        "3 min 5 s",
        "15 min",
        "1 h",
        "1 h 30 min",
        "1 d 1 h",
        "2 d",
    ]


def test_durations_of_axes_are_short() -> None:
    with translation.override("en"):
        texts = [times.axis_duration(seconds) for seconds in (0.25, 1.5, 12, 90, 300, 5400, 7200)]

    assert texts == ["0.25s", "1.5s", "12s", "1.5m", "5m", "1h30", "2h"]


def test_reasons_have_the_durations_and_instants_of_sentences_in_both_languages() -> None:
    timeout = Reason(Code.TIMED_OUT, {"seconds": 1_000_000})
    waiting = Reason(
        Code.RETRY_WAITING,
        {"execution": 7, "attempt": 2, "until": "2026-11-24T12:00:00Z", "zone": "Asia/Shanghai"},
    )

    with translation.override("zh-hans"):
        chinese = told(timeout)

    assert str(timeout) == "ran longer than its timeout of 11 d 13 h 46 min 40 s"
    assert chinese == "运行时间超过了 11 天 13 小时 46 分钟 40 秒的超时限制"
    assert "2026-11-24 20:00:00 CST" in str(waiting)


def test_a_row_shows_the_exact_instant_in_its_tooltip() -> None:
    with translation.override("en"):
        element = scheduler_site.list_instant(NOW - timedelta(days=400), "Asia/Shanghai")

    assert element == (
        '<time datetime="2025-10-20T12:00:00Z" title="2025-10-20 20:00:00 CST">20 Oct 2025 20:00 CST</time>'
    )


def test_the_browser_gets_the_templates_of_the_server() -> None:
    with translation.override("zh-hans"):
        words = times.browser_words()
    script = (ROOT / "scheduler/static/scheduler/times.js").read_text(encoding="utf-8")

    assert (words["minutes"], words["past"]) == ("%(minutes)d 分 %(seconds)02d 秒", "%(time)s前")
    assert "Intl" not in script and not re.search(r"[\u4e00-\u9fff]", script)


def test_nothing_else_formats_an_instant() -> None:
    found = []
    for path in [
        *ROOT.glob("s*/**/*.py"),
        *ROOT.glob("notifications/**/*.py"),
        *ROOT.glob("templates/**/*.html"),
    ]:
        place = path.relative_to(ROOT).as_posix()
        if place in OTHERS or "/migrations/" in place or place.startswith("schedsite/demo/"):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
            if FORMATS.search(line):
                found.append(f"{place}:{number}: {line.strip()}")

    assert found == []
