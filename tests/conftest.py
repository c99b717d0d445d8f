"""Fixtures of all tests."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as settings_of_django
from django.test import override_settings
from django_q.conf import Conf
from hypothesis import HealthCheck, settings

from scheduler.config_file import validate_task
from scheduler.models import Task
from scheduler.services.tasks import save_task
from tests.stack import Stack
from tests.support.databases import emptied_by_deleting, migrated_once
from tests.support.isolation import forget_kept_rows
from tests.support.static_files import static_files_kept

# How fast a machine is must not decide whether a test passes.
settings.register_profile("schedsite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("schedsite")

NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> Iterator[None]:
    """Hash passwords in no time: hundreds of tests make an account, and few are about its password."""
    with override_settings(PASSWORD_HASHERS=["tests.support.hashers.QuickHasher"]):
        yield


@pytest.fixture(scope="session", autouse=True)
def own_installation(worker_id: str) -> Iterator[None]:
    """Give each process of pytest-xdist a key of its own: with one, they would take each other's wake-ups in Redis."""
    own = f"{settings_of_django.SECRET_KEY}-{worker_id}"
    with override_settings(SECRET_KEY=own), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Conf, "SECRET_KEY", own)
        yield


@pytest.fixture(scope="session", autouse=True)
def static_files_found_once() -> Iterator[None]:
    """Look for static files once a process: each client of a test has its own middleware, which looks for them all."""
    with static_files_kept():
        yield


@pytest.fixture(scope="session", autouse=True)
def databases_made_and_emptied_quickly(pytestconfig: pytest.Config) -> Iterator[None]:
    """Migrate the database once and not in each process, which takes seconds, and delete the few rows of a test."""
    cache = getattr(pytestconfig, "cache", None)
    with nullcontext() if cache is None else migrated_once(cache.mkdir("databases")), emptied_by_deleting():
        yield


@pytest.fixture(autouse=True)
def own_folders(settings: Any, tmp_path: Path) -> None:
    """Keep spool and scripts of each test apart."""
    settings.SCHEDULER_SPOOL_DIR = tmp_path / "spool"
    settings.SCHEDULER_TASKS_DIR = tmp_path / "tasks"
    settings.SCHEDULER_TASKS_DIR.mkdir()


@pytest.fixture(autouse=True)
def no_kept_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what a process keeps of its database and of the last reader."""
    monkeypatch.setattr(
        "scheduler.views.frame.FAILING_KEPT", None
    )  # nothing ends while a test counts queries
    forget_kept_rows()


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
    """Return whether a test starts an installation or a browser."""
    return item.path.parent.name in ("faults", "acceptance")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None]:
    """Mark what kills processes, and begin with what starts some: it takes longest."""
    for item in items:
        if item.path.parent.name == "faults":
            item.add_marker(pytest.mark.faults)
    yield
    items.sort(key=lambda item: not starts_processes(item))


def pytest_collection_finish() -> None:
    """Search for garbage less often, and not in what is loaded: it took a fifth of the time of all tests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def is_required(name: str) -> bool:
    """Return whether a missing service or browser is a failure, as in continuous integration."""
    return bool(os.environ.get("CI")) and name != ""
