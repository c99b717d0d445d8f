"""Rows of task rules: derived from `Task.notify`, and referenced by deliveries and cooldowns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from notifications.choices import Scope
from notifications.models import NotificationRule, RuleChannel, target_of
from scheduler.models import Task

STEP = 500
RULE_FIELDS = ("name", "enabled", "triggers", "threshold", "repeat", "cooldown")
DEFAULTS: Mapping[str, Any] = {
    "name": "",
    "enabled": True,
    "threshold": 1,
    "repeat": "every",
    "cooldown": 0,
}
Row = TypeVar("Row")


class Draft:
    """Rows to write together."""

    def __init__(self) -> None:
        self.new_rules: list[NotificationRule] = []
        self.changed_rules: list[NotificationRule] = []
        self.gone_rules: list[int] = []
        self.new_channels: list[RuleChannel] = []
        self.changed_channels: list[RuleChannel] = []
        self.gone_channels: list[int] = []

    def write(self) -> None:
        """Write the rows, in at most seven statements per 500 rows."""
        RuleChannel.objects.filter(pk__in=self.gone_channels).delete() if self.gone_channels else None
        NotificationRule.objects.filter(pk__in=self.gone_rules).delete() if self.gone_rules else None
        NotificationRule.objects.bulk_create(self.new_rules, batch_size=STEP)
        now = datetime.now(UTC)
        for rule in self.changed_rules:
            rule.updated_at = now  # bulk_update ignores auto_now
        fields = [*RULE_FIELDS, "position", "watches_deadline", "problem", "updated_at"]
        NotificationRule.objects.bulk_update(self.changed_rules, fields, batch_size=STEP)
        for channel in self.new_channels:
            channel.rule_id = channel.rule.pk
        RuleChannel.objects.bulk_create(self.new_channels, batch_size=STEP)
        fields = ["position", "kind", "config", "target"]
        RuleChannel.objects.bulk_update(self.changed_channels, fields, batch_size=STEP)


def sync_rules(tasks: Sequence[Task]) -> None:
    """Update the rule rows of these tasks from `Task.notify`; unchanged rules keep their rows."""
    for start in range(0, len(tasks), STEP):
        part = tasks[start : start + STEP]
        stored: dict[int, list[NotificationRule]] = {task.pk: [] for task in part}
        rows = NotificationRule.objects.filter(task__in=part, scope=Scope.TASK).order_by("position", "pk")
        for rule in rows.prefetch_related("channels"):
            stored[rule.task_id or 0].append(rule)
        draft = Draft()
        for task in part:
            _draft_task(task, stored[task.pk], draft)
        draft.write()


def _draft_task(task: Task, stored: list[NotificationRule], draft: Draft) -> None:
    wanted = task.notify
    pairs, gone = match(stored, wanted, [lambda r, w: rule_spec(r) == _complete(w), _has_name, None])
    draft.gone_rules += [rule.pk for rule in gone]
    for position, (rule, spec) in enumerate(zip(pairs, wanted, strict=True)):
        draft_rule(rule or NotificationRule(scope=Scope.TASK, task=task), spec, position, draft)


def draft_rule(
    rule: NotificationRule, spec: Mapping[str, Any], position: int, draft: Draft
) -> NotificationRule:
    """Set `rule` and its channels to `spec` (`task_notify` format) and add the changes to `draft`."""
    full = _complete(spec)
    old = None if rule._state.adding else (*(getattr(rule, name) for name in RULE_FIELDS), rule.position)
    for name in RULE_FIELDS:
        setattr(rule, name, full[name])
    rule.position = position
    rule.set_watches_deadline()
    has_new_channels = _draft_channels(rule, full["channels"], draft)
    if old is None:
        draft.new_rules.append(rule)
    elif has_new_channels or old != (*(full[name] for name in RULE_FIELDS), position):
        rule.problem = ""
        draft.changed_rules.append(rule)
    return rule


def _draft_channels(rule: NotificationRule, wanted: Sequence[Mapping[str, Any]], draft: Draft) -> bool:
    """Add the channel changes of a rule to `draft`; return whether there are any."""
    stored = [] if rule._state.adding else list(rule.channels.all())
    pairs, gone = match(stored, wanted, [lambda c, w: channel_spec(c) == w, lambda c, w: c.kind == w["type"]])
    draft.gone_channels += [channel.pk for channel in gone]
    is_changed = bool(gone)
    for position, (channel, spec) in enumerate(zip(pairs, wanted, strict=True)):
        if channel is None:
            channel = RuleChannel(rule=rule)
        elif channel_spec(channel) == spec and channel.position == position:
            continue
        is_changed = True
        channel.kind = spec["type"]
        channel.config = {name: value for name, value in spec.items() if name != "type"}
        channel.target = target_of(channel.kind, channel.config)
        channel.position = position
        (draft.new_channels if channel._state.adding else draft.changed_channels).append(channel)
    return is_changed


def rule_spec(rule: NotificationRule) -> dict[str, Any]:
    """Return a rule in `task_notify` format, including secrets."""
    spec: dict[str, Any] = {name: getattr(rule, name) for name in RULE_FIELDS}
    if isinstance(rule.cooldown, float) and rule.cooldown.is_integer():
        spec["cooldown"] = int(rule.cooldown)
    spec["channels"] = [channel_spec(channel) for channel in rule.channels.all()]
    return spec


def channel_spec(channel: RuleChannel) -> dict[str, Any]:
    """Return a channel in `task_notify` format, including secrets."""
    return {"type": channel.kind, **channel.config}


def _complete(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"triggers": [], "channels": [], **DEFAULTS, **spec}


def _has_name(rule: NotificationRule, spec: Mapping[str, Any]) -> bool:
    return bool(rule.name) and rule.name == spec.get("name")


def match(
    stored: Sequence[Row],
    wanted: Sequence[Mapping[str, Any]],
    likenesses: Iterable[Callable[[Row, Mapping[str, Any]], bool] | None],
) -> tuple[list[Row | None], list[Row]]:
    """Pair stored rows with wanted items by the closest likeness; return the pairs and the unmatched rows.

    Args:
        likenesses: from closest to loosest; None pairs by position.
    """
    left: dict[int, Row] = dict(enumerate(stored))
    pairs: list[Row | None] = [None] * len(wanted)
    for likeness in likenesses:
        for index, spec in enumerate(wanted):
            if pairs[index] is not None:
                continue
            if likeness is None:
                found = index if index in left else None
            else:
                found = next((at for at, row in left.items() if likeness(row, spec)), None)
            if found is not None:
                pairs[index] = left.pop(found)
    return pairs, list(left.values())


def delete_rules(task_pks: Collection[int]) -> None:
    """Delete the rules of deleted tasks; their deliveries are kept and marked."""
    pks = list(task_pks)
    for start in range(0, len(pks), STEP):
        NotificationRule.objects.filter(task__in=pks[start : start + STEP], scope=Scope.TASK).delete()
