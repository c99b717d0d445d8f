"""Whatever the documents allow, and some that they do not, the API answers without a 5xx and as documented."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.core.errors import InvalidSchema
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from scheduler.services.tokens import create_token
from tests.integration.test_api import add_executions, user_of

pytestmark = pytest.mark.django_db
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture
def open_connection() -> Iterator[None]:
    """Keep the connection, and with it the transaction of the test, over requests; as Django's test client does."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def api(make_task: Any, open_connection: None) -> Any:
    """Return the documents as the installation serves them, to one with a task and its history."""
    task = make_task("a", task_schedule="* * * * *")
    add_executions(task, 3)
    token = create_token(user_of("Editor"), name="fuzz")
    headers = {"Authorization": f"Bearer {token}"}
    loaded = schemathesis.openapi.from_wsgi(
        "/api/schema?format=json", get_wsgi_application(), headers=headers
    )
    loaded.config.headers = headers
    return loaded


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda m: m.value)
def test_no_request_is_answered_with_a_server_error(api: Any, mode: GenerationMode) -> None:
    seen: Counter[int] = Counter()
    for operation in api.get_all_operations():
        _try(operation.ok(), mode, seen)

    assert sum(seen.values()) > 100
    assert max(seen) < 500


def _try(operation: Any, mode: GenerationMode, seen: Counter[int]) -> None:
    """Send generated requests to one operation, the same ones in each run."""
    try:
        cases = operation.as_strategy(generation_mode=mode)
    except InvalidSchema:
        return  # nothing about it can be wrong

    @given(case=cases)
    @settings(
        max_examples=10,
        derandomize=True,
        deadline=None,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    def send(case: Any) -> None:
        response = case.call()
        seen[response.status_code] += 1
        case.validate_response(response, checks=CHECKS)

    try:
        send()
    except Unsatisfiable:
        return
