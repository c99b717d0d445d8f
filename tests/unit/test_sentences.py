"""The state of a task in one sentence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import translation

from scheduler.choices import Status
from scheduler.models import Execution, Task
from scheduler.templatetags.scheduler_site import list_duration
from scheduler.wording.schedules import describe_schedule
from scheduler.wording.task_status import failing_streak, status_sentence
from tests.support.cases import each_case

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def task(**fields: Any) -> Task:
    return Task(task_id="t", name="T", timezone="UTC", **fields)


def row(status: Status, hours_ago: float, **fields: Any) -> Execution:
    at = NOW - timedelta(hours=hours_ago)
    ended = status not in (Status.QUEUED, Status.RUNNING)
    base: dict[str, Any] = {"queued_at": at, "scheduled_for": at, "is_outcome": ended}
    if ended:
        base |= {"started_at": at, "finished_at": at}
    return Execution(status=status, **(base | fields))


def sentence(*rows: Execution, **fields: Any) -> tuple[str, str]:
    with translation.override("en"):
        found = status_sentence(task(**fields), rows, NOW)
    return found.text, found.tone


def test_a_streak_says_how_often_and_since_when() -> None:
    rows = [row(Status.SUCCESS, 12), row(Status.TIMEOUT, 10), row(Status.TECHNICAL_FAILURE, 9)]

    assert sentence(*rows) == ("Failed 2 times since 02:00", "bad")


def test_a_waiting_retry_says_when_it_comes() -> None:
    rows = [
        row(Status.TECHNICAL_FAILURE, 10),
        row(Status.TECHNICAL_FAILURE, 9),
        row(Status.TECHNICAL_FAILURE, 8, is_outcome=False),
        row(Status.QUEUED, 8, attempt=2, not_before=NOW + timedelta(minutes=12)),
    ]

    assert sentence(*rows) == ("Failed 3 times since 02:00, retries at 12:12", "bad")


def test_attempts_that_were_retried_count_once() -> None:
    rows = [row(Status.TIMEOUT, 10, is_outcome=False), row(Status.TIMEOUT, 9, attempt=2)]

    assert len(failing_streak(rows)) == 1


def test_skipped_and_missed_rows_do_not_end_a_streak() -> None:
    rows = [row(Status.TIMEOUT, 10), row(Status.SKIPPED, 9), row(Status.TIMEOUT, 8), row(Status.MISSED, 7)]

    assert sentence(*rows) == ("Failed 2 times since 02:00", "bad")


def test_a_streak_longer_than_what_is_read_says_so() -> None:
    rows = [row(Status.TIMEOUT, 30 - number) for number in range(30)]

    assert sentence(*rows)[0] == "Failed at least 30 times, since yesterday 06:00 or before"


@each_case(
    ("status", "text", "tone"),
    [
        (Status.SUCCESS, "Succeeded at 10:00", "good"),
        (Status.BUSINESS_FAILURE, "Failed at 10:00", "bad"),
        (Status.CANCELLED, "Cancelled at 10:00", "quiet"),
        (Status.SKIPPED, "Skipped at 10:00", "quiet"),
        (Status.MISSED, "Missed its slot of 10:00", "quiet"),
        (Status.RUNNING, "Running since 10:00", "active"),
        (Status.QUEUED, "Waiting for a worker since 10:00", "active"),
    ],
)
def test_one_execution(status: Status, text: str, tone: str) -> None:
    started = {"started_at": NOW - timedelta(hours=2)} if status == Status.RUNNING else {}

    found, found_tone = sentence(row(status, 2, **started))

    assert (found, found_tone) == (text, tone)


def test_a_task_that_fails_and_runs_says_both() -> None:
    rows = [row(Status.TIMEOUT, 3), row(Status.RUNNING, 1, started_at=NOW - timedelta(hours=1))]

    assert sentence(*rows) == ("Running since 11:00. Failed at 09:00", "bad")


def test_nothing_ran_yet() -> None:
    assert sentence() == ("Has not run yet", "quiet")


def test_a_paused_task_says_so_first() -> None:
    assert sentence(row(Status.SUCCESS, 2), enabled=False) == ("Paused. Succeeded at 10:00", "quiet")


def test_a_broken_schedule_comes_before_everything() -> None:
    text, tone = sentence(row(Status.SUCCESS, 2), schedule="0 6 * * *", schedule_error="no such zone")

    assert (text, tone) == ("Its schedule cannot be followed: no such zone", "bad")


@each_case(
    ("expression", "words"),
    [
        ("30 2 * * *", "每天 02:30"),
        ("0 8 * * 1-5", "08:00，星期一到星期五"),
        ("*/15 7-19 * * *", "每 15 分钟，在 07:00 和 19:59 之间"),
        ("0 9 * * 5#3", "09:00，每月第三个星期五"),
        ("0 12 15W * *", "12:00，每月最接近 15 号的工作日"),
        ("0 0 1-7 3-6 *", "00:00，在每月 1 和 7 号之间，3 月到 6 月"),
        ("*/90 */24 * * *", "每天 00:00"),
        ("0 6 3-3 * *", "06:00，每月 3 号"),
        ("0 6 1,15 1,6 *", "06:00，每月 1 和 15 号，仅在 1 月和 6 月"),
    ],
)
def test_schedules_are_told_in_chinese_without_english_names(expression: str, words: str) -> None:
    assert describe_schedule(expression, "zh-hans") == words


@each_case(
    ("seconds", "english", "chinese"),
    [
        (None, "–", "–"),
        (0.314, "0.31 s", "0.31 秒"),
        (59.9, "59 s", "59 秒"),
        (185, "3 m 05 s", "3 分 05 秒"),
        (7620, "2 h 07 m", "2 小时 07 分"),
        (180_000, "2 d 02 h", "2 天 02 小时"),
    ],
)
def test_durations_are_told_as_people_say_them(seconds: float | None, english: str, chinese: str) -> None:
    with translation.override("en"):
        assert list_duration(seconds) == english
    with translation.override("zh-hans"):
        assert list_duration(seconds) == chinese
