"""Texts of channels that a page stored with CR LF get LF."""

from django.db import migrations

from scheduler.config_file.line_breaks import with_lf


def use_lf(apps, schema_editor):
    RuleChannel = apps.get_model("notifications", "RuleChannel")
    for channel in RuleChannel.objects.order_by("pk").only("config").iterator(chunk_size=500):
        if with_lf(channel.config) != channel.config:
            RuleChannel.objects.filter(pk=channel.pk).update(config=with_lf(channel.config))


class Migration(migrations.Migration):
    dependencies = [("notifications", "0003_deliveries_of_channels")]

    operations = [migrations.RunPython(use_lf, migrations.RunPython.noop, elidable=True)]
