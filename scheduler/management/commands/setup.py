"""`manage.py setup`: prepare an installation for its first start; idempotent."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from scheduler.config_file import ConfigError, read_config
from scheduler.exceptions import ConflictError
from scheduler.models import Task
from scheduler.services.accounts import FirstAdmin, make_first_admin, make_roles
from scheduler.services.configuration import apply_import
from scheduler.wording.changed_days import days_reason, tasks_with_changed_days


class Command(BaseCommand):
    """Migrates, names changed days, creates roles and the first admin, imports tasks/config.json if no task exists."""

    help = "Prepare the database, the roles, the first admin account and the first import."

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the missing steps.

        Raises:
            CommandError: the database cannot be used.
        """
        try:
            call_command("migrate", verbosity=0, interactive=False)
        except DatabaseError as error:
            raise CommandError(f"the database cannot be used: {error}") from error
        make_roles()
        self._name_changed_days()
        self._import_tasks()
        self._make_admin()
        self.stdout.write(f"The site: {settings.SITE_URL}/admin/")

    def _name_changed_days(self) -> None:
        for task, days in tasks_with_changed_days(datetime.now(UTC)):
            self.stdout.write(f"note: {task.task_id} ({task.schedule}): {days_reason(days)}")

    def _make_admin(self) -> None:
        try:
            made = make_first_admin()
        except ConflictError as error:
            self.stderr.write(f"No admin account was created: {error}.")
            return
        if made is not None:
            self.stdout.write("\n".join(_box(made)))

    def _import_tasks(self) -> None:
        path = settings.SCHEDULER_TASKS_DIR / "config.json"
        if Task.all_objects.exists():
            return
        if not path.exists():
            self.stdout.write(f"There is no task yet, and no {path} to import.")
            return
        try:
            plan = apply_import(read_config(path, known=()), prune=False, user=None, now=datetime.now(UTC))
        except ConfigError as error:
            self.stderr.write(str(error))
            self.stderr.write(
                f"No task was imported. Correct the file, then run: python manage.py import_config {path}"
            )
            return
        for note in plan.notes:
            self.stdout.write(f"note: {note}")
        self.stdout.write(f"{len(plan.created)} tasks imported from {path}")


def _box(made: FirstAdmin) -> list[str]:
    """Return the account in a frame, so that it stands out in the output."""
    lines = [f"Admin account:  {made.username}"]
    if made.password is not None:
        lines += [f"Password:       {made.password}", "It is shown only now; change it on the site."]
    width = max(len(line) for line in lines)
    edge = f"+{'-' * (width + 4)}+"
    return [edge, *(f"|  {line:<{width}}  |" for line in lines), edge]
