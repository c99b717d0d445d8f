from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0004_line_breaks"),
    ]

    operations = [
        migrations.AddField(
            model_name="delivery",
            name="repeats",
            field=models.PositiveIntegerField(blank=True, null=True, verbose_name="times in a row"),
        ),
    ]
