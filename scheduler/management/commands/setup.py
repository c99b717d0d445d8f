"""`manage.py setup`: everything that a first start needs; may be run again at any time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand

from scheduler.config_file import ConfigError, read_config
from scheduler.models import Task
from scheduler.services.accounts import make_first_admin, make_roles
from scheduler.services.configuration import apply_import


class Command(BaseCommand):
    """Migrates, makes roles and the first admin, and imports tasks/config.json when there is no task yet."""

    help = "Prepare the database, the roles, the first admin account and the first import."

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what is missing."""
        call_command("migrate", verbosity=0, interactive=False)
        make_roles()
        self._make_admin()
        self._import_tasks()

    def _make_admin(self) -> None:
        made = make_first_admin()
        if made is None:
            return
        name, password = made
        self.stdout.write(f"\n  Admin account: {name}")
        if password is not None:
            self.stdout.write(f"  Password:      {password}   (shown only now)")
        self.stdout.write(f"  Site:          {settings.SITE_URL}/admin/\n")

    def _import_tasks(self) -> None:
        path = settings.SCHEDULER_TASKS_DIR / "config.json"
        if Task.all_objects.exists() or not path.exists():
            return
        try:
            plan = apply_import(read_config(path), prune=False, user=None, now=datetime.now(UTC))
        except ConfigError as error:
            self.stderr.write(str(error))
            self.stderr.write(f"{path} was refused; no task was imported. Correct it and run import_config.")
            return
        self.stdout.write(f"{len(plan.created)} tasks imported from {path}")
