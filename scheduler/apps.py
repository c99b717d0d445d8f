"""The scheduler application."""

from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

#: Modules that register something when they are imported: signal receivers, system checks, templates of reasons.
REGISTERING = (
    "schedsite.database",
    "scheduler.api.reasons",
    "scheduler.management.checks",
    "scheduler.services.receivers",
    "scheduler.wording.reasons",
    "scheduler.wording.config_reasons",
    "scheduler.wording.explanation_reasons",
)


class SchedulerConfig(AppConfig):
    """Imports the modules that register something."""

    name = "scheduler"
    verbose_name = _("Scheduler")

    def ready(self) -> None:
        """Import the modules that register something."""
        for module in REGISTERING:
            import_module(module)
