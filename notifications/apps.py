"""The notifications application."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class NotificationsConfig(AppConfig):
    """Connects receivers to the scheduler's signals."""

    name = "notifications"
    verbose_name = _("Notifications")

    def ready(self) -> None:
        """Import the modules that register themselves."""
        from notifications.channels import registry  # noqa: F401 - tells the scheduler which channels there are
        from notifications.forms.fields import RulesField
        from notifications.services import receivers  # noqa: F401 - connects to the signals of the scheduler
        from notifications.wording import reasons  # noqa: F401 - registers the words of reasons
        from scheduler.forms.task import use_rules_field

        use_rules_field(RulesField)
