from typing import Any

from django.db import migrations, models
from django.utils import timezone


def was_joined_otherwise(schedule: str) -> bool:
    """Return whether the day fields of an expression were joined by OR and are by AND now, or the reverse.

    Before, an item that is ``*`` made it AND; now it is a field that begins with ``*``.
    """
    fields = schedule.lower().split()
    if len(fields) not in (5, 6):
        return False
    days = fields[-3], fields[-1]
    before = all("*" not in field.split(",") and field != "?" for field in days)
    return before == any(field.startswith(("*", "?")) for field in days)


def note_changed_days(apps: Any, _schema_editor: Any) -> None:
    """Mark the tasks whose days change, so that pages and `manage.py setup` name them."""
    tasks = apps.get_model("scheduler", "Task")._base_manager.filter(deleted_at=None)
    changed = [pk for pk, schedule in tasks.values_list("pk", "schedule") if was_joined_otherwise(schedule)]
    for start in range(0, len(changed), 500):
        tasks.filter(pk__in=changed[start : start + 500]).update(days_changed_at=timezone.now())


class Migration(migrations.Migration):
    dependencies = [
        ("scheduler", "0012_totals"),
    ]

    operations = [
        migrations.AddField(
            model_name="task",
            name="days_changed_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.RunPython(note_changed_days, migrations.RunPython.noop, elidable=True),
    ]
