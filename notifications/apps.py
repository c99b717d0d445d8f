"""The notifications application."""

from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

#: Modules that register something when they are imported: channels, signal receivers, templates of reasons.
REGISTERING = (
    "notifications.channels.registry",
    "notifications.services.receivers",
    "notifications.wording.reasons",
)


class NotificationsConfig(AppConfig):
    """Connects receivers to the scheduler's signals."""

    name = "notifications"
    verbose_name = _("Notifications")

    def ready(self) -> None:
        """Import the modules that register something."""
        from notifications.forms.fields import RulesField
        from scheduler.forms.task import use_rules_field

        for module in REGISTERING:
            import_module(module)
        use_rules_field(RulesField)
