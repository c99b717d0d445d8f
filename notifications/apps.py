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
        from notifications.channels import apprise, webhook
        from notifications.fields import RulesField
        from notifications.phrases import PHRASES
        from scheduler.config_file.notify_rules import add_check
        from scheduler.forms import use_rules_field
        from scheduler.phrases import add_phrases

        public = "a public host, or one that SCHEDULER_WEBHOOK_ALLOW names"
        add_check("webhook", "url", webhook.check_url, allowed=public)
        add_check("webhook", "headers", webhook.check_headers, allowed="printable headers that are not ours")
        add_check(
            "apprise", "urls", apprise.check_url, allowed=f"{public}, of a service that is no program here"
        )
        use_rules_field(RulesField)
        add_phrases(PHRASES)
