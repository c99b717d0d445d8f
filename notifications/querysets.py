"""QuerySets of rules and deliveries, and the claim of deliveries by a sender."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import F, Q

from notifications.choices import OPEN, OWN_EVENTS, Scope, State

if TYPE_CHECKING:
    from notifications.models import Delivery, NotificationRule  # noqa: F401 - type arguments below


class RuleQuerySet(models.QuerySet["NotificationRule"]):
    """Queries for rules."""

    def enabled(self) -> RuleQuerySet:
        """Enabled rules."""
        return self.filter(enabled=True)

    def about(self, task_pks: Collection[int]) -> RuleQuerySet:
        """Enabled rules that may apply to any of the tasks: their own, and those of tags and all tasks."""
        return self.enabled().filter(~Q(scope=Scope.TASK) | Q(task__in=task_pks)).order_by("pk")


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    """Queries for deliveries, and claiming."""

    def reported(self) -> DeliveryQuerySet:
        """Messages of rules that were not suppressed."""
        return self.exclude(state=State.SUPPRESSED).exclude(event__in=OWN_EVENTS)

    def due(self, now: datetime) -> DeliveryQuerySet:
        """Deliveries to send at `now`: due ones, and those with an expired lease; first attempts first."""
        rows = self.filter(state__in=OPEN, next_attempt_at__lte=now)
        return rows.order_by("attempts", "next_attempt_at", "pk")

    def newest_first(self) -> DeliveryQuerySet:
        """In list order."""
        return self.order_by("-created_at", "-id")

    def take(self, ids: Sequence[int], *, claim: str, now: datetime, until: datetime) -> list[Delivery]:
        """Claim the deliveries among `ids` that are still due; return them.

        Args:
            until: end of the lease, after which another sender may claim an unfinished delivery.
        """
        due = self.filter(pk__in=ids, state__in=OPEN, next_attempt_at__lte=now)
        due.update(state=State.SENDING, claim=claim, attempts=F("attempts") + 1, next_attempt_at=until)
        mine = self.filter(pk__in=ids, state=State.SENDING, claim=claim, next_attempt_at=until)
        return list(mine.select_related("rule", "channel", "task", "execution").order_by("pk"))
