"""What tests of notifications share: a channel that keeps what it is given, and outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from notifications.channels.base import Channel
from notifications.channels.registry import get_channel
from notifications.messages.context import Facts
from scheduler.choices import Status, Trigger
from scheduler.models import Execution, Task
from scheduler.services.outcomes import announce
from tests.conftest import NOON

LETTERS = {
    "S": Status.SUCCESS,
    "B": Status.BUSINESS_FAILURE,
    "F": Status.TECHNICAL_FAILURE,
    "T": Status.TIMEOUT,
    "C": Status.CANCELLED,
    "K": Status.SKIPPED,
    "M": Status.MISSED,
}


#: A value for every name of a template.
FULL: dict[str, str | int | float | None] = {
    "task_id": "backup",
    "task_name": "Nightly backup",
    "execution_status": "technical_failure",
    "execution_start_time": "2026-06-01 12:00:00 UTC",
    "execution_end_time": "2026-06-01 12:00:07 UTC",
    "execution_duration": 7.25,
    "threshold_count": 3,
    "execution_log_tail": "copying\nNo space left on device\n",
    "execution_id": 4711,
    "execution_url": "https://schedsite.example.org/x/4711",
    "exit_code": 28,
    "attempt": 2,
    "reason": "exit code 28",
    "scheduled_for": "2026-06-01 12:00:00 UTC",
    "run_id": 99,
    "rule_name": "Three failures in a row",
}


@dataclass
class NotebookChannel:
    """Sends to a list; `answers` are raised or returned, one at each attempt, before it answers "noted"."""

    kind: str = "webhook"
    stands_for: Channel = field(init=False)
    sent: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stands_for = get_channel(self.kind)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stands_for, name)

    def compose(self, config: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
        """Return all that there is."""
        return {"event": facts.event, "url": config.get("url", ""), **facts.values}

    def send(
        self, config: Mapping[str, Any], content: Mapping[str, Any], *, key: str, deadline: float
    ) -> str:
        """Note the message, then answer."""
        self.sent.append((key, dict(content)))
        answer = self.answers.pop(0) if self.answers else "noted"
        if callable(answer):
            answer = answer()
        if isinstance(answer, Exception):
            raise answer
        return str(answer)


def rule(*triggers: str, url: str = "https://hooks.example.org/a", **fields: Any) -> dict[str, Any]:
    """Return a rule with one webhook, in the words of task_notify."""
    return {"triggers": list(triggers), "channels": [{"type": "webhook", "url": url}], **fields}


def outcomes(
    task: Task, letters: str, *, begin: datetime = NOON, every: float = 60, **fields: Any
) -> list[Execution]:
    """Store outcomes of a task, one for each letter, without telling anybody."""
    rows = []
    for number, letter in enumerate(letters):
        at = begin + timedelta(seconds=every * number)
        values = {"trigger": Trigger.API, "is_outcome": True, "queued_at": at, "finished_at": at, **fields}
        rows.append(Execution(task=task, status=LETTERS[letter], started_at=at, **values))
    return Execution.objects.bulk_create(rows)


def finish_all(task: Task, letters: str, **fields: Any) -> list[Execution]:
    """Store outcomes and announce each one after the other, as workers do."""
    rows = []
    for number, letter in enumerate(letters):
        begin = fields.get("begin", NOON) + timedelta(seconds=fields.get("every", 60) * number)
        rows += outcomes(task, letter, **{**fields, "begin": begin})
        announce({rows[-1].pk: task.pk})
    return rows


def announce_all(rows: Sequence[Execution]) -> None:
    """Tell of several outcomes at once, as a worker that records a group."""
    announce({row.pk: row.task_id for row in rows})
