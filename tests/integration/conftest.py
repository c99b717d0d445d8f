"""Fixtures of the tests that use a database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notifications.channels.registry import REGISTRY
from notifications.services import wake
from scheduler.models import Process
from scheduler.services import heartbeats
from scheduler.services.tokens import create_token
from scheduler.services.totals import count_ended
from tests.api_client import TokenClient, user_of
from tests.notify import NotebookChannel, rule
from tests.simulation import B, Engine, S


@pytest.fixture
def as_role(db: None) -> Any:
    """Return a function that makes a client with the rights of a role."""
    return lambda role: TokenClient(create_token(user_of(role), name="test"))


@pytest.fixture
def editor(as_role: Any) -> TokenClient:
    """Return a client that may change tasks."""
    client: TokenClient = as_role("Editor")
    return client


@pytest.fixture
def engine(make_task: Any) -> Engine:
    """Return an engine that runs tasks by saying how they end."""
    return Engine(make_task)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> NotebookChannel:
    """Send webhooks to a list."""
    channel = NotebookChannel()
    monkeypatch.setitem(REGISTRY, "webhook", channel)
    monkeypatch.setattr(wake, "_woken_at", float("-inf"))
    return channel


@pytest.fixture
def busy(engine: Engine, notebook: NotebookChannel, settings: Any) -> Engine:
    """Return an installation in which every metric has a sample."""
    settings.SCHEDULER_LEASE = 600
    engine.clock.now = datetime.now(UTC) - timedelta(minutes=10)
    engine.task("good", task_notify=[rule("success")])
    engine.task("bad", task_schedule="* * * * *")
    engine.task("off", task_enabled=False)
    engine.task("waits", task_concurrency="allow", task_max_parallel=1)
    for _ in range(3):
        engine.start("good")
        engine.end(good=S)
    engine.start("bad")
    engine.end(bad=B)
    for _ in range(2):
        engine.start("waits")
    for kind in (Process.Kind.DISPATCHER, Process.Kind.CLUSTER):
        queue = "default" if kind == Process.Kind.CLUSTER else ""
        heartbeats.register(kind, host_id="h", queue=queue, slots=8, now=datetime.now(UTC))
    count_ended()
    return engine
