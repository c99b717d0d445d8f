"""Rows for the rules that tasks have already."""

import hashlib
import json

from django.db import migrations

STEP = 500
BESIDE_TARGET = {"subject_template", "body_template", "secret", "headers", "method", "success_when"}


def project(apps, schema_editor):
    """Make a row of each rule and each channel in `Task.notify`."""
    Task = apps.get_model("scheduler", "Task")
    rules, channels = [], []
    for task in Task.objects.filter(deleted_at=None).exclude(notify=[]).only("pk", "notify").iterator():
        for position, spec in enumerate(task.notify):
            rule = _rule(apps, task, position, spec)
            rules.append(rule)
            channels += [_channel(apps, rule, at, channel) for at, channel in enumerate(spec["channels"])]
    apps.get_model("notifications", "NotificationRule").objects.bulk_create(rules, batch_size=STEP)
    for channel in channels:
        channel.rule_id = channel.rule.pk
    apps.get_model("notifications", "RuleChannel").objects.bulk_create(channels, batch_size=STEP)


def _rule(apps, task, position, spec):
    return apps.get_model("notifications", "NotificationRule")(
        scope="task",
        task=task,
        position=position,
        name=spec.get("name", ""),
        enabled=spec.get("enabled", True),
        triggers=spec["triggers"],
        threshold=spec.get("threshold", 1),
        repeat=spec.get("repeat", "every"),
        cooldown=spec.get("cooldown", 0),
        watches_deadline="overdue" in spec["triggers"],
    )


def _channel(apps, rule, position, spec):
    config = {name: value for name, value in spec.items() if name != "type"}
    where = {name: value for name, value in config.items() if name not in BESIDE_TARGET}
    text = json.dumps([spec["type"], where], sort_keys=True)
    return apps.get_model("notifications", "RuleChannel")(
        rule=rule,
        position=position,
        kind=spec["type"],
        config=config,
        target=hashlib.sha256(text.encode()).hexdigest(),
    )


class Migration(migrations.Migration):
    dependencies = [("notifications", "0001_initial"), ("scheduler", "0001_initial")]

    operations = [migrations.RunPython(project, migrations.RunPython.noop)]
