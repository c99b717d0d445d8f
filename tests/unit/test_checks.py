"""System checks: combinations of settings, and a spool, that would lose, repeat or hang."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from scheduler.management.checks import check_database, check_open_files, check_queue, check_spool


def ids(found: list[Any]) -> list[str]:
    return [message.id for message in found]


def test_the_default_settings_pass() -> None:
    assert check_queue() == []
    assert check_spool() == []
    assert list(settings.SCHEDULER_SPOOL_DIR.iterdir()) == [settings.SCHEDULER_SPOOL_DIR / "host-id"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"transaction_mode": "DEFERRED"}, ["scheduler.E001"]),
        ({"init_command": "PRAGMA synchronous=NORMAL"}, ["scheduler.E002"]),
        ({"timeout": 1}, ["scheduler.E004"]),
    ],
)
def test_sqlite_must_be_able_to_wait(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], expected: list[str]
) -> None:
    safe = {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL", "timeout": 20}
    database = {"ENGINE": "django.db.backends.sqlite3", "OPTIONS": {**safe, **changes}}
    monkeypatch.setattr(settings, "DATABASES", {"default": database})

    assert ids(check_database()) == expected


def test_the_queue_must_carry_wake_ups_only(settings: Any) -> None:
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "max_attempts": 0, "retry": 600}

    assert [message.msg for message in check_queue()] == [
        "Q_CLUSTER['max_attempts'] is 0; it must be 1.",
        "Q_CLUSTER['retry'] must be longer than Q_CLUSTER['timeout'].",
    ]


def test_a_spool_that_cannot_be_written_is_an_error_that_names_it(settings: Any) -> None:
    settings.SCHEDULER_SPOOL_DIR = Path("/proc/spool")

    with pytest.raises(
        SystemCheckError, match="The spool directory /proc/spool cannot be used: No such file"
    ):
        call_command("check")

    assert ids(check_spool()) == ["scheduler.E005"]


def test_a_spool_open_to_others_is_made_private(settings: Any) -> None:
    settings.SCHEDULER_SPOOL_DIR.mkdir(mode=0o755)

    assert check_spool() == []
    assert settings.SCHEDULER_SPOOL_DIR.stat().st_mode & 0o777 == 0o700


def test_a_spool_that_stays_open_to_others_is_a_warning(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SCHEDULER_SPOOL_DIR.mkdir(mode=0o755)

    def refuse(_path: Path, _mode: int) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "chmod", refuse)  # the folder belongs to somebody else

    assert ids(check_spool()) == ["scheduler.W001"]


def test_a_spool_without_holes_is_a_warning_that_says_what_it_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduler.runner.spool._fallocate", lambda *_: -1)  # as a file system without holes

    (found,) = check_spool()

    assert found.id == "scheduler.W002"
    assert "A command that prints 10 GB takes 10 GB of disk until it ends" in found.hint


def test_more_slots_than_files_that_may_be_open_are_a_warning(settings: Any) -> None:
    assert check_open_files() == []

    settings.SCHEDULER_SLOTS = 10**9

    (warning,) = check_open_files()
    assert warning.msg.startswith("SCHEDULER_SLOTS is 1000000000, but this process may open only ")
