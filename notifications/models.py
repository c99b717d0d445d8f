"""What is stored: rules, their channels, and deliveries (the outbox and its history).

The rules of a task are a projection of `Task.notify`, kept by `services.projection`; whoever changes one writes the
task. Rules of a tag and of all tasks live here only.
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

from notifications.choices import OPEN, Event, Repeat, Scope, State
from notifications.querysets import DeliveryQuerySet, RuleQuerySet
from notifications.rules import OVERDUE, BrokenRuleError, Rule
from scheduler.models import Execution, Task

if TYPE_CHECKING:
    from django_stubs_ext.db.models.manager import RelatedManager

#: Fields of a channel that do not say where its messages go.
BESIDE_TARGET = frozenset({"subject_template", "body_template", "secret", "headers", "method"})


class NotificationRule(models.Model):
    """When to tell, for one task, the tasks with a tag, or all tasks."""

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
            # rules for any outcome: those of tags and of all tasks; the rules of a task are found by its key
            models.Index(
                fields=["scope", "tag"], name="rule_global", condition=Q(enabled=True) & ~Q(scope="task")
            ),
            # the look for missed deadlines
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
        """Keep `watches_deadline` true to the triggers."""
        self.note_deadline()
        super().save(*args, **kwargs)

    def note_deadline(self) -> None:
        """Set `watches_deadline`, which lets the database find the rules that a missed deadline concerns."""
        self.watches_deadline = isinstance(self.triggers, list) and OVERDUE in self.triggers

    def policy(self) -> Rule:
        """Return the rule as it is evaluated.

        Raises:
            BrokenRuleError: what is stored is no rule.
        """
        if not isinstance(self.triggers, list) or not all(isinstance(word, str) for word in self.triggers):
            raise BrokenRuleError(f"triggers must be a list of words, but {self.triggers!r} was found")
        return Rule(frozenset(self.triggers), self.threshold, self.repeat, self.cooldown)


class RuleChannel(models.Model):
    """One means by which a rule tells. `config` is the channel in the words of config.json, without its type."""

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
        """Keep `target` true to the configuration."""
        self.target = target_of(self.kind, self.config)
        super().save(*args, **kwargs)


def target_of(kind: str, config: Any) -> str:
    """Return what is the same for channels that reach the same people: the hourly limit counts by it."""
    where = {name: value for name, value in dict(config).items() if name not in BESIDE_TARGET}
    return hashlib.sha256(json.dumps([kind, where], sort_keys=True).encode()).hexdigest()


def new_key() -> str:
    """Return a key by which the other side can tell that a message came twice."""
    return secrets.token_hex(16)


class Delivery(models.Model):
    """One message to one channel: to be sent, being sent, or what became of it.

    Attributes:
        occasion: what it is about; with channel and event it is there once. An execution, a deadline, an hour.
        count: messages that a suppressed row stands for; an unbroken series of them is one row.
        occurred_at: when what it tells of happened, the last of it for a series.
        next_attempt_at: when a pending one is due; when the lease of one that is being sent ends.
        claim: who sends it; whoever lost the claim records nothing.
        content: what is or was sent, as the channel composed it.
        reason: why it failed, waits or was suppressed.
        response: what the other side said.
        key: the same at each attempt, so that the other side can recognise a repetition.
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
    count = models.PositiveIntegerField(_("messages"), default=1)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.PENDING)
    occurred_at = models.DateTimeField(_("happened"))
    created_at = models.DateTimeField(_("written"))
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt"), null=True, blank=True)
    claim = models.CharField(max_length=16, blank=True, default="")
    sent_at = models.DateTimeField(_("sent"), null=True, blank=True)
    reason = models.TextField(_("reason"), blank=True, default="")
    content = models.JSONField(_("content"), null=True, blank=True)
    response = models.TextField(_("answer"), blank=True, default="")
    key = models.CharField(max_length=32, default=new_key, editable=False)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        permissions = [("resend_delivery", "Can send deliveries again")]
        constraints = [
            models.UniqueConstraint(fields=["channel", "event", "occasion"], name="delivery_once"),
            # one digest for each target and hour, whichever channel wrote it
            models.UniqueConstraint(
                fields=["target", "occasion"], name="digest_once", condition=Q(event=Event.DIGEST)
            ),
        ]
        indexes = [
            # what is due, and what lost its sender
            models.Index(fields=["next_attempt_at"], name="delivery_due", condition=Q(state__in=OPEN)),
            # the hourly limit and its digest
            models.Index(fields=["target", "created_at"], name="delivery_limit"),
            # the cooldown of a rule
            models.Index(fields=["rule", "task", "occurred_at"], name="delivery_cooldown"),
            # all, newest first; retention
            models.Index(F("created_at").desc(), F("id").desc(), name="delivery_recent"),
            # those of a task, newest first
            models.Index("task", F("created_at").desc(), F("id").desc(), name="delivery_of_task"),
            # those of a channel, newest first: how the last one went
            models.Index("channel", F("created_at").desc(), F("id").desc(), name="delivery_of_channel"),
            # those of one state, newest first; only what people search for
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
    def zone(self) -> str:
        """The time zone of its task, in which people are told its instants; "" is that of the installation."""
        return "" if self.task is None else self.task.zone
