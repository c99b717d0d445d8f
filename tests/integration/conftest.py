"""Fixtures of the tests that use a database."""

from __future__ import annotations

from typing import Any

import pytest

from notifications.channels.registry import REGISTRY
from notifications.services import wake
from scheduler.services.tokens import create_token
from tests.api_client import TokenClient, user_of
from tests.notify import NotebookChannel
from tests.simulation import Engine


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
