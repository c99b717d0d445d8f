"""Values of the environment that cannot work stop the start, with a sentence and without a password."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from schedsite import environment


def refusal(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what is said of a value."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured) as refused:
        match name:
            case "SCHEDULER_QUEUE":
                environment.queue(name, "default")
            case "SCHEDULER_TIME_ZONE":
                environment.time_zone(name, "UTC")
            case "REDIS_URL":
                environment.url(name, schemes=("redis", "rediss"), example="redis://127.0.0.1:6379/0")
            case _:
                environment.text("SECRET_KEY")
    return str(refused.value)


@pytest.mark.parametrize("value", ["GPU rack", "x" * 51, "gpu\n"])
def test_a_queue_that_no_task_can_name_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    message = refusal("SCHEDULER_QUEUE", value, monkeypatch)

    assert message == f"SCHEDULER_QUEUE is {value!r}; allowed are 1 to 50 small letters, digits, _ and -"


@pytest.mark.parametrize("value", ["localtime", "posixrules", "Mars/Olympus"])
def test_a_time_zone_that_no_schedule_accepts_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    message = refusal("SCHEDULER_TIME_ZONE", value, monkeypatch)

    assert message.startswith(f"SCHEDULER_TIME_ZONE is {value!r}, which is not a zone of the IANA database")


def test_an_address_of_another_kind_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    message = refusal("REDIS_URL", "http://:secret@host", monkeypatch)

    assert message == "REDIS_URL must begin with redis:// or rediss://, such as redis://127.0.0.1:6379/0"


def test_a_file_that_is_no_text_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"\xff\xfe")

    message = refusal("SECRET_KEY_FILE", str(path), monkeypatch)

    assert message.startswith(f"SECRET_KEY_FILE is {str(path)!r}, which cannot be read: ")
