"""The notifications application."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class NotificationsConfig(AppConfig):
    """Listens to the scheduler."""

    name = "notifications"
    verbose_name = _("Notifications")

    def ready(self) -> None:
        """Import what registers itself."""
        from notifications import receivers  # noqa: F401 - connects to the signals of the scheduler
