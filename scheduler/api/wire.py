"""What goes over the wire."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.utils.translation import get_language

from scheduler.config_file.secrets import MASK, masked_rule
from scheduler.descriptions import describe_schedule
from scheduler.models import Execution, Run, Task
from scheduler.selectors import DependencyGraph
from scheduler.services.explanations import Explanation
from scheduler.specs import task_to_spec


def instant(at: datetime | None) -> str | None:
    """Return ISO 8601 in UTC with Z."""
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def execution_json(execution: Execution, task_id: str) -> dict[str, Any]:
    """Return an execution; `upstream_executions` must be prefetched in lists."""
    return {
        "execution_id": execution.pk,
        "task_id": task_id,
        "run_id": execution.run_id,
        "status": execution.status,
        "attempt": execution.attempt,
        "trigger": execution.trigger,
        "scheduled_for": instant(execution.scheduled_for),
        "queued_at": instant(execution.queued_at),
        "started_at": instant(execution.started_at),
        "finished_at": instant(execution.finished_at),
        "duration": execution.duration,
        "exit_code": execution.exit_code,
        "reason": execution.reason,
        "worker": execution.worker,
        "log_size": execution.log_size,
        "upstream_executions": [upstream.pk for upstream in execution.upstream_executions.all()],
    }


def task_json(
    task: Task, *, upstream_ids: Sequence[str], latest: Execution | None, shows_env: bool
) -> dict[str, Any]:
    """Return a task in the words of config.json with what is known of it; what is secret in it may be masked."""
    body: dict[str, Any] = {**task_to_spec(task, upstream_ids)}
    if not shows_env:
        body["task_env"] = dict.fromkeys(body["task_env"], MASK)
    body["task_notify"] = [masked_rule(rule, shows_address=shows_env) for rule in body["task_notify"]]
    body["next_run_at"] = instant(task.next_run_at)
    body["schedule_description"] = describe_schedule(task.schedule, get_language() or "en")
    body["schedule_error"] = task.schedule_error
    body["last_execution"] = None if latest is None else execution_json(latest, task.task_id)
    return body


def run_json(run: Any) -> dict[str, Any]:
    """Return a run that carries `status`; its first task and who began it must be joined in lists."""
    shown: Run = run
    return {
        "run_id": shown.pk,
        "status": run.status,
        "trigger": shown.trigger,
        "task_id": shown.first_task.task_id,
        "created_at": instant(shown.created_at),
        "created_by": shown.created_by.get_username() if shown.created_by else None,
        "finished_at": instant(shown.finished_at),
        "cancelled_at": instant(shown.cancelled_at),
        "cancel_reason": shown.cancel_reason,
    }


def graph_json(graph: DependencyGraph) -> dict[str, Any]:
    """Return nodes and edges of a picture of dependencies."""
    return {
        "nodes": [
            {
                "task_id": node.task_id,
                "task_name": node.name,
                "task_enabled": node.enabled,
                "task_schedule": node.schedule,
                "status": node.status,
                "execution_id": node.execution_id,
            }
            for node in graph.nodes
        ],
        "edges": [{"upstream": upstream, "downstream": downstream} for upstream, downstream in graph.edges],
    }


def explanation_json(task_id: str, told: Explanation) -> dict[str, Any]:
    """Return an explanation: all sentences, the same by what they are about, and the facts of the upstreams."""
    return {
        "task_id": task_id,
        "sentences": told.sentences,
        "last": told.last,
        "now": told.now,
        "upcoming": told.upcoming,
        "upstreams": [
            {**dataclasses.asdict(upstream), "last_success_at": instant(upstream.last_success_at)}
            for upstream in told.upstreams
        ],
    }
