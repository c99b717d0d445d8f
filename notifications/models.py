"""Rules, their channels, and deliveries (the outbox and its history).

The rows of task rules are derived from `Task.notify` by `services.rule_sync`; to change such a rule, write the task.
Rules of a tag and of all tasks exist only here.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import TYPE_CHECKING, Any

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from notifications.channels.registry import REGISTRY
from notifications.choices import OPEN, Event, Repeat, Scope, State
from notifications.engine.rules import OVERDUE, BrokenRuleError, Rule
from notifications.querysets import DeliveryQuerySet, RuleQuerySet
from scheduler.engine.reasons import Reason
from scheduler.models import Execution, Task
from scheduler.models.reasons import WithReason, code_field, params_field, read_reason, reason_columns

if TYPE_CHECKING:
    from django_stubs_ext.db.models.manager import RelatedManager


class NotificationRule(models.Model):
    """Which events cause messages, for one task, the tasks with a tag, or all tasks."""

    scope = models.CharField(_("for"), max_length=4, choices=Scope.choices, default=Scope.ALL)
    task = models.ForeignKey(
        Task,
        verbose_name=_("task"),
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="notification_rules",
    )
    tag = models.CharField(_("tag"), max_length=50, blank=True, default="")
    position = models.PositiveIntegerField(default=0, editable=False)
    name = models.CharField(_("name"), max_length=200, blank=True, default="")
    enabled = models.BooleanField(_("enabled"), default=True)
    triggers = models.JSONField(_("triggers"), default=list)
    threshold = models.PositiveIntegerField(
        _("threshold"), default=1, validators=[MinValueValidator(1)], help_text=_("Consecutive outcomes.")
    )
    repeat = models.CharField(_("repeat"), max_length=6, choices=Repeat.choices, default=Repeat.EVERY)
    cooldown = models.FloatField(_("cooldown"), default=0, help_text=_("Seconds."))
    watches_deadline = models.BooleanField(default=False, editable=False)
    problem = models.TextField(_("problem"), blank=True, default="", editable=False)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    objects = RuleQuerySet.as_manager()

    if TYPE_CHECKING:
        channels: RelatedManager[RuleChannel]

    class Meta:
        ordering = ["scope", "task", "tag", "position", "pk"]
        verbose_name = _("notification rule")
        verbose_name_plural = _("notification rules")
        permissions = [("test_notificationrule", "Can send test messages")]
        indexes = [
            # rules for any outcome: those of tags and of all tasks; rules of a task are found by foreign key
            models.Index(
                fields=["scope", "tag"], name="rule_global", condition=Q(enabled=True) & ~Q(scope="task")
            ),
            # the sweep for missed deadlines
            models.Index(
                fields=["scope"], name="rule_deadline", condition=Q(enabled=True, watches_deadline=True)
            ),
        ]
        constraints = [
            models.CheckConstraint(
                name="rule_scope",
                condition=Q(scope="task", task__isnull=False, tag="")
                | (Q(scope="tag", task=None) & ~Q(tag=""))
                | Q(scope="all", task=None, tag=""),
            ),
        ]

    def __str__(self) -> str:
        return self.name or gettext("Rule %(id)s") % {"id": self.pk}

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Update `watches_deadline` from the triggers."""
        self.set_watches_deadline()
        super().save(*args, **kwargs)

    def set_watches_deadline(self) -> None:
        """Set `watches_deadline`, by which the database finds the rules for missed deadlines."""
        self.watches_deadline = isinstance(self.triggers, list) and OVERDUE in self.triggers

    def policy(self) -> Rule:
        """Return the rule in the form that `engine.rules` evaluates.

        Raises:
            BrokenRuleError: the stored rule is invalid.
        """
        if not isinstance(self.triggers, list) or not all(isinstance(word, str) for word in self.triggers):
            raise BrokenRuleError(f"triggers must be a list of words, but {self.triggers!r} was found")
        return Rule(frozenset(self.triggers), self.threshold, self.repeat, self.cooldown)


class RuleChannel(models.Model):
    """One channel of a rule. `config` is the channel in config.json format, without its type."""

    rule = models.ForeignKey(NotificationRule, on_delete=models.CASCADE, related_name="channels")
    position = models.PositiveIntegerField(default=0, editable=False)
    kind = models.CharField(_("kind"), max_length=20)
    config = models.JSONField(_("configuration"), default=dict)
    target = models.CharField(max_length=64, editable=False)

    class Meta:
        ordering = ["position", "pk"]
        verbose_name = _("channel")
        verbose_name_plural = _("channels")

    def __str__(self) -> str:
        return f"{self.kind} of {self.rule}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Update `target` from the configuration."""
        self.target = target_of(self.kind, self.config)
        super().save(*args, **kwargs)


def target_of(kind: str, config: Any) -> str:
    """Return a digest equal for channels with the same recipients, by which the hourly limit counts."""
    fields = REGISTRY[kind].target if kind in REGISTRY else config
    where = {name: value for name, value in dict(config).items() if name in fields}
    return hashlib.sha256(json.dumps([kind, where], sort_keys=True).encode()).hexdigest()


def answer_columns(answer: Reason | None) -> dict[str, Any]:
    """Return the receiver's response as column values of a delivery."""
    names = ("response", "response_code", "response_params")
    return dict(zip(names, reason_columns(answer).values(), strict=True))


def new_key() -> str:
    """Return an idempotency key by which the receiver can detect duplicates."""
    return secrets.token_hex(16)


class Delivery(WithReason):
    """One message to one channel: pending, being sent, or finished.

    Attributes:
        occasion: the subject, unique per channel and event: an execution, a deadline, or an hour.
        streak: consecutive outcomes counted by the rule; None if the rule does not count.
        repeats: consecutive occurrences of this event.
        count: number of suppressed messages in this row; an unbroken series of them is one row.
        occurred_at: time of the event, of the latest one for a series.
        next_attempt_at: when a pending delivery is due; when the lease of one being sent expires.
        claim: id of the sender's claim; a sender that lost its claim records nothing.
        content: the message as composed by the channel.
        reason: why it failed, is delayed or was suppressed.
        response: the receiver's response.
        key: idempotency key, the same at each attempt.
    """

    rule = models.ForeignKey(
        NotificationRule, null=True, blank=True, on_delete=models.SET_NULL, related_name="deliveries"
    )
    rule_name = models.CharField(_("rule"), max_length=200, blank=True, default="")
    channel = models.ForeignKey(
        RuleChannel,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="deliveries",
        db_index=False,
    )
    kind = models.CharField(_("channel"), max_length=20)
    target = models.CharField(max_length=64)
    task = models.ForeignKey(
        Task, null=True, blank=True, on_delete=models.CASCADE, related_name="deliveries", db_index=False
    )
    execution = models.ForeignKey(
        Execution, null=True, blank=True, on_delete=models.CASCADE, related_name="deliveries"
    )
    event = models.CharField(_("event"), max_length=20, choices=Event.choices)
    occasion = models.CharField(max_length=100)
    streak = models.PositiveIntegerField(_("streak"), null=True, blank=True)
    repeats = models.PositiveIntegerField(_("consecutive"), null=True, blank=True)
    count = models.PositiveIntegerField(_("messages"), default=1)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.PENDING)
    occurred_at = models.DateTimeField(_("happened"))
    created_at = models.DateTimeField(_("created"))
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt"), null=True, blank=True)
    claim = models.CharField(max_length=16, blank=True, default="")
    sent_at = models.DateTimeField(_("sent"), null=True, blank=True)
    content = models.JSONField(_("content"), null=True, blank=True)
    response = models.TextField(_("answer"), blank=True, default="")
    response_code = code_field()
    response_params = params_field()
    key = models.CharField(max_length=32, default=new_key, editable=False)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        permissions = [("resend_delivery", "Can send deliveries again")]
        constraints = [
            models.UniqueConstraint(fields=["channel", "event", "occasion"], name="delivery_once"),
            # one digest per target and hour, regardless of the channel
            models.UniqueConstraint(
                fields=["target", "occasion"], name="digest_once", condition=Q(event=Event.DIGEST)
            ),
        ]
        indexes = [
            # due deliveries and expired leases
            models.Index(fields=["next_attempt_at"], name="delivery_due", condition=Q(state__in=OPEN)),
            # the hourly limit and its digest
            models.Index(fields=["target", "created_at"], name="delivery_limit"),
            # the cooldown of a rule
            models.Index(fields=["rule", "task", "occurred_at"], name="delivery_cooldown"),
            # all, newest first; retention
            models.Index(F("created_at").desc(), F("id").desc(), name="delivery_recent"),
            # by task, newest first
            models.Index("task", F("created_at").desc(), F("id").desc(), name="delivery_of_task"),
            # by channel, newest first: the latest result
            models.Index("channel", F("created_at").desc(), F("id").desc(), name="delivery_of_channel"),
            # by state, newest first; only the states that users filter by
            models.Index(
                "state",
                F("created_at").desc(),
                F("id").desc(),
                name="delivery_of_state",
                condition=~Q(state=State.SENT),
            ),
        ]

    def __str__(self) -> str:
        return f"delivery {self.pk}"

    @property
    def answer(self) -> Reason | None:
        """The receiver's response as a value, or None."""
        return read_reason(self.response, self.response_code, self.response_params)

    def set_answer(self, answer: Reason | None) -> None:
        """Set all columns of the receiver's response, without saving."""
        for name, value in answer_columns(answer).items():
            setattr(self, name, value)

    @property
    def zone(self) -> str:
        """The time zone in which the task's times are displayed; "" means the installation's zone."""
        return "" if self.task is None else self.task.zone


class DeliveryCount(models.Model):
    """Messages that ended: how many of one kind of channel reached one state.

    Rows are only added, by the transaction that records the end, so that senders never wait for each other; the sum of
    the rows is the counter. The dispatcher replaces many rows by their sum.
    """

    kind = models.CharField(max_length=20)
    state = models.CharField(max_length=10, choices=State.choices)
    number = models.BigIntegerField()

    class Meta:
        default_permissions = ()  # nobody sees or changes these rows

    def __str__(self) -> str:
        return f"{self.kind} {self.state}: {self.number}"
