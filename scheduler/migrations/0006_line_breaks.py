"""Commands, descriptions, variables and rules that a page stored with CR LF get LF."""

from django.db import migrations

from scheduler.config_file.line_breaks import with_lf

FIELDS = ("command", "description", "env", "notify")
STEP = 500


def use_lf(apps, schema_editor):
    Task = apps.get_model("scheduler", "Task")
    for task in Task.objects.order_by("pk").only(*FIELDS).iterator(chunk_size=STEP):
        values = {name: getattr(task, name) for name in FIELDS}
        if with_lf(values) != values:
            Task.objects.filter(pk=task.pk).update(**with_lf(values))


class Migration(migrations.Migration):
    dependencies = [("scheduler", "0005_shells_and_exit_codes")]

    operations = [migrations.RunPython(use_lf, migrations.RunPython.noop, elidable=True)]
