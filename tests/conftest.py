"""Fixtures of all tests."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from hypothesis import HealthCheck, settings

from scheduler.config_file import validate_task
from scheduler.models import Task
from scheduler.services.tasks import save_task
from tests.stack import Stack

# How fast a machine is must not decide whether a test passes.
settings.register_profile("schedsite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("schedsite")

NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def own_folders(settings: Any, tmp_path: Path) -> None:
    """Keep spool and scripts of each test apart."""
    settings.SCHEDULER_SPOOL_DIR = tmp_path / "spool"
    settings.SCHEDULER_TASKS_DIR = tmp_path / "tasks"
    settings.SCHEDULER_TASKS_DIR.mkdir()


@pytest.fixture(autouse=True)
def no_kept_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what a process keeps of its database: here it is another one in each test."""
    from scheduler import queues
    from scheduler.services import claims, graphs

    cache.clear()
    monkeypatch.setattr(
        "scheduler.views.shell.FAILING_KEPT", None
    )  # nothing ends while a test counts queries
    queues._broker.cache_clear()
    claims._spec.cache_clear()
    graphs.forget()


@pytest.fixture
def make_task(db: None) -> Any:
    """Return a function that stores a task given by words of config.json."""

    def make(task_id: str, *, now: datetime = NOON, **fields: Any) -> Task:
        spec = validate_task({"task_id": task_id, "task_name": task_id, "task_exec": "true", **fields})
        return save_task(spec, task=None, user=None, now=now)

    return make


@pytest.fixture
def stack(transactional_db: None, tmp_path: Path) -> Iterator[Stack]:
    """Return an installation on the database of the test."""
    made = Stack(tmp_path)
    yield made
    made.close()


def starts_processes(item: pytest.Item) -> bool:
    """Tell whether a test is one of those that start an installation or a browser."""
    return item.path.parent.name in ("faults", "acceptance")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None]:
    """Mark what kills processes, and begin with what starts some: it takes longest."""
    for item in items:
        if item.path.parent.name == "faults":
            item.add_marker(pytest.mark.faults)
    yield
    items.sort(key=lambda item: not starts_processes(item))


def is_required(name: str) -> bool:
    """Tell whether the absence of a service or a browser is a failure: in continuous integration it is."""
    return bool(os.environ.get("CI")) and name != ""
