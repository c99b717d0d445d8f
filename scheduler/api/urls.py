"""Routes of the API; no trailing slashes."""

from __future__ import annotations

from typing import Any

from django.urls import path, re_path, register_converter
from django.urls.converters import StringConverter
from drf_spectacular.utils import extend_schema

from scheduler.api.execution_views import LOG_RENDERERS, ExecutionViewSet
from scheduler.api.run_views import RunViewSet
from scheduler.api.task_views import TaskViewSet
from scheduler.api.tool_views import NotFoundView, ToolViewSet


class TaskIdConverter(StringConverter):
    """A task id."""

    regex = "[A-Za-z0-9_-]{1,64}"


class ExecutionIdConverter(StringConverter):
    """A positive number of at most 18 digits."""

    regex = "[0-9]{1,18}"

    def to_python(self, value: str) -> int:  # type: ignore[override]  # the stubs say str
        """Return the number."""
        return int(value)


class RunIdConverter(ExecutionIdConverter):
    """The same, of a run."""


register_converter(TaskIdConverter, "task_id")
register_converter(ExecutionIdConverter, "execution_id")
register_converter(RunIdConverter, "run_id")

one_task: dict[str, Any] = {
    "get": "retrieve",
    "put": "update",
    "patch": "partial_update",
    "delete": "destroy",
}

urlpatterns = [
    path("tasks", TaskViewSet.as_view({"get": "list", "post": "create"}), name="tasks"),
    path("tasks/<task_id:task_id>", TaskViewSet.as_view(one_task), name="task"),
    path("tasks/<task_id:task_id>/history", TaskViewSet.as_view({"get": "history"}), name="history"),
    path(
        "tasks/<task_id:task_id>/logs",
        TaskViewSet.as_view({"get": "logs"}, renderer_classes=LOG_RENDERERS),
        name="logs",
    ),
    path("tasks/<task_id:task_id>/next-runs", TaskViewSet.as_view({"get": "next_runs"}), name="next-runs"),
    path("tasks/<task_id:task_id>/execute", TaskViewSet.as_view({"post": "execute"}), name="execute"),
    path("tasks/<task_id:task_id>/toggle", TaskViewSet.as_view({"post": "toggle"}), name="toggle"),
    path("tasks/<task_id:task_id>/graph", TaskViewSet.as_view({"get": "graph"}), name="task-graph"),
    path("tasks/<task_id:task_id>/explain", TaskViewSet.as_view({"get": "explain"}), name="explain"),
    path("graph", RunViewSet.as_view({"get": "graph"}), name="graph"),
    path("runs", RunViewSet.as_view({"get": "list"}), name="runs"),
    path("runs/<run_id:run_id>", RunViewSet.as_view({"get": "retrieve"}), name="run"),
    path("runs/<run_id:run_id>/cancel", RunViewSet.as_view({"post": "cancel"}), name="cancel-run"),
    path("executions", ExecutionViewSet.as_view({"get": "list"}), name="executions"),
    path(
        "executions/<execution_id:execution_id>",
        ExecutionViewSet.as_view({"get": "retrieve"}),
        name="execution",
    ),
    path(
        "executions/<execution_id:execution_id>/log",
        ExecutionViewSet.as_view({"get": "log"}, renderer_classes=LOG_RENDERERS),
        name="execution-log",
    ),
    path(
        "executions/<execution_id:execution_id>/cancel",
        ExecutionViewSet.as_view({"post": "cancel"}),
        name="cancel",
    ),
    path(
        "executions/<execution_id:execution_id>/resume",
        ExecutionViewSet.as_view({"post": "resume"}),
        name="resume",
    ),
    path("validate-cron", ToolViewSet.as_view({"post": "validate_cron"}), name="validate-cron"),
    path("config/schema", ToolViewSet.as_view({"get": "config_schema"}), name="config-schema"),
    re_path("", extend_schema(exclude=True)(NotFoundView).as_view(), name="nowhere"),
]
