"""The scheduler application."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SchedulerConfig(AppConfig):
    """Registers the system checks."""

    name = "scheduler"
    verbose_name = _("Scheduler")

    def ready(self) -> None:
        """Import what registers itself."""
        from scheduler import checks  # noqa: F401 - registers the system checks
