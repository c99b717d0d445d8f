"""Named reads of rules and deliveries, and the statement by which a sender takes deliveries."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import F, Q

from notifications.choices import OPEN, OWN_EVENTS, Scope, State
from scheduler.models import Execution

if TYPE_CHECKING:
    from notifications.models import Delivery, NotificationRule  # noqa: F401 - type arguments below


class RuleQuerySet(models.QuerySet["NotificationRule"]):
    """Reads of rules."""

    def enabled(self) -> RuleQuerySet:
        """Rules that count."""
        return self.filter(enabled=True)

    def about(self, execution_ids: Collection[int]) -> RuleQuerySet:
        """Enabled rules that may concern any of the executions: of their tasks, and of tags and all tasks."""
        tasks = Execution.objects.filter(pk__in=execution_ids).order_by().values("task_id")
        return self.enabled().filter(~Q(scope=Scope.TASK) | Q(task__in=tasks)).order_by("pk")


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    """Reads of deliveries, and how one is taken."""

    def told(self) -> DeliveryQuerySet:
        """Messages of rules that were not held back."""
        return self.exclude(state=State.SUPPRESSED).exclude(event__in=OWN_EVENTS)

    def due(self, now: datetime) -> DeliveryQuerySet:
        """Those to be sent at `now`: due ones, and those whose sender was lost; first attempts first."""
        rows = self.filter(state__in=OPEN, next_attempt_at__lte=now)
        return rows.order_by("attempts", "next_attempt_at", "pk")

    def newest_first(self) -> DeliveryQuerySet:
        """In the order of the list."""
        return self.order_by("-created_at", "-id")

    def take(self, ids: Sequence[int], *, claim: str, now: datetime, until: datetime) -> list[Delivery]:
        """Claim those of `ids` that are still due; return them.

        Args:
            until: when the claim ends, and another may take what was neither sent nor failed.
        """
        due = self.filter(pk__in=ids, state__in=OPEN, next_attempt_at__lte=now)
        due.update(state=State.SENDING, claim=claim, attempts=F("attempts") + 1, next_attempt_at=until)
        mine = self.filter(pk__in=ids, state=State.SENDING, claim=claim, next_attempt_at=until)
        return list(mine.select_related("rule", "channel", "task", "execution").order_by("pk"))
