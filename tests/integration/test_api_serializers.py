"""Shapes of the API are rendered fast and as the framework would, and bodies are read strictly."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from rest_framework import serializers
from rest_framework.renderers import JSONRenderer

from notifications.api.serializers.deliveries import DeliverySerializer
from notifications.models import Delivery
from scheduler.api.serializers.base import AnswerSerializer
from scheduler.api.serializers.executions import ExecutionSerializer
from scheduler.api.serializers.graphs import GraphSerializer
from scheduler.api.serializers.health import HealthSerializer
from scheduler.api.serializers.runs import RunWithGraphSerializer
from scheduler.api.serializers.tasks import ExplanationSerializer
from scheduler.models import Execution, Run, Task
from scheduler.selectors.graphs import dependency_graph
from scheduler.selectors.health import health
from scheduler.selectors.run_graphs import run_graph
from scheduler.wording.explanations import explain
from tests.api_client import TokenClient, errors_of
from tests.hostile.world import World, make_world
from tests.support.cases import each_case

pytestmark = pytest.mark.django_db


def as_the_framework_renders(serializer: AnswerSerializer, instance: Any) -> Any:
    """Return the fields with each value converted by its field."""
    return serializers.Serializer.to_representation(serializer, instance)


def test_fast_rendering_writes_what_the_framework_would(world: World) -> None:
    now = datetime.now(UTC)
    run: Any = Run.objects.with_status().latest("pk")
    run.picture = run_graph(run)
    shown: list[tuple[AnswerSerializer, Any]] = [
        (RunWithGraphSerializer(), run),
        (GraphSerializer(), dependency_graph()),
        (ExplanationSerializer(), explain(Task.objects.get(task_id="after"), now=now)),
        (HealthSerializer(), health(now)),
        *((ExecutionSerializer(), row) for row in Execution.objects.all()),
        *((DeliverySerializer(), row) for row in Delivery.objects.all()),
    ]

    for serializer, instance in shown:
        fast, slow = serializer.to_representation(instance), as_the_framework_renders(serializer, instance)
        assert JSONRenderer().render(fast) == JSONRenderer().render(slow), type(serializer).__name__


BODIES: list[tuple[str, Any, str, str]] = [
    ("tasks/night/execute", [], "", "the body must be a JSON object, but [] was found"),
    ("tasks/night/execute", {"x": 1}, "x", 'unknown field "x"; allowed: downstream'),
    ("tasks/night/execute", {"downstream": 1}, "downstream", "downstream must be true or false, but 1 was found"),
    ("tasks/night/execute", {"downstream": "true"}, "downstream", 'downstream must be true or false, but "true" was found'),
    ("tasks/night/execute", {"downstream": None}, "downstream", "downstream must be true or false, but null was found"),
    ("tasks/night/toggle", {"enabled": True, "y": 2}, "y", 'unknown field "y"; allowed: enabled'),
    ("executions/{execution}/cancel", {"x": 1}, "x", 'unknown field "x"'),
    ("validate-cron", {}, "expression", "expression is missing; it must be text"),
    ("validate-cron", {"expression": 5}, "expression", "expression must be text, but 5 was found"),
    ("validate-cron", {"timezone": "", "z": 1}, "z", 'unknown field "z"; allowed: expression, timezone'),
    ("notification-rules/{rule}/rehearse", {"days": 0}, "days", "days must be a whole number from 1 to 366, but 0 was found"),
    ("notification-rules/{rule}/rehearse", {"days": True}, "days", "days must be a whole number from 1 to 366, but true was found"),
    ("notification-rules/rehearse", {"days": 1.5}, "days", "days must be a whole number from 1 to 366, but 1.5 was found"),
]  # fmt: skip


@pytest.fixture
def world() -> World:
    return make_world()


@each_case("path, body, field, message", BODIES)
def test_a_body_is_refused_for_the_first_field_that_is_wrong(
    world: World, path: str, body: Any, field: str, message: str
) -> None:
    editor = TokenClient(world.tokens["editor"])
    keys = {"execution": world.keys["execution"], "rule": world.keys["notificationrule"]}

    answer = editor.post(path.format(**keys), body)

    assert answer.status_code == 400
    assert errors_of(answer) == [(field, message)]


def test_a_body_may_lack_fields_that_have_defaults_or_say_nothing_when_they_are_absent(
    world: World,
) -> None:
    editor = TokenClient(world.tokens["editor"])

    assert editor.post("validate-cron", {"expression": "0 6 * * *"}).json()["timezone"] == "UTC"
    assert editor.post("tasks/night/toggle").json()["task_enabled"] is False
    assert editor.post("tasks/night/execute").status_code == 202
