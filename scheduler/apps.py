"""The scheduler application."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SchedulerConfig(AppConfig):
    """Registers the system checks and what follows a login."""

    name = "scheduler"
    verbose_name = _("Scheduler")

    def ready(self) -> None:
        """Import what registers itself."""
        from schedsite import database  # noqa: F401 - prepares connections
        from scheduler.management import checks  # noqa: F401 - register the system checks and the receivers
        from scheduler.services import receivers  # noqa: F401 - register the system checks and the receivers
        from scheduler.wording import reasons, refusals, sentences  # noqa: F401 - registers the words of reasons
