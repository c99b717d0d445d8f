"""Rules and deliveries in the admin site. All pages are our own views, which write through services."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.urls import path
from django.views.decorators.http import require_GET, require_POST

from notifications.models import Delivery, NotificationRule
from notifications.views import deliveries, editor, rules, scheduler_pages
from scheduler.admin.base import SiteModelAdmin

__all__ = ["scheduler_pages"]  # importing it connects the receivers of extension points


@admin.register(NotificationRule)
class RuleAdmin(SiteModelAdmin):
    """Rules."""

    def get_urls(self) -> list[Any]:
        """Return our URLs instead of the admin's, which would bypass the services."""
        site = self.admin_site.admin_view
        return [
            path("", site(require_GET(rules.rule_list)), name="notifications_notificationrule_changelist"),
            path("add/", site(editor.add_rule), name="notifications_notificationrule_add"),
            path("part/rule/", site(require_GET(editor.rule_part)), name="notifications_rule_part"),
            path("part/channel/", site(require_GET(editor.channel_part)), name="notifications_channel_part"),
            path("draft/sentence/", site(require_POST(editor.describe_draft)), name="notifications_describe"),
            path("draft/rehearse/", site(require_POST(editor.rehearse_draft)), name="notifications_rehearse"),
            path("draft/test/", site(require_POST(editor.test_draft)), name="notifications_test"),
            path("<int:pk>/", site(require_GET(rules.rule_page)), name="notifications_rule_page"),
            path("<int:pk>/change/", site(editor.change_rule), name="notifications_notificationrule_change"),
            path(
                "<int:pk>/delete/",
                site(require_POST(rules.delete_rule)),
                name="notifications_notificationrule_delete",
            ),
            path("<int:pk>/switch/", site(require_POST(rules.switch_rule)), name="notifications_rule_switch"),
            path("<int:pk>/test/", site(require_POST(rules.test_rule)), name="notifications_rule_test"),
            path(
                "<int:pk>/rehearse/",
                site(require_POST(rules.rehearse_rule)),
                name="notifications_rule_rehearse",
            ),
        ]


@admin.register(Delivery)
class DeliveryAdmin(SiteModelAdmin):
    """Deliveries, read-only except for resending."""

    def has_add_permission(self, request: Any) -> bool:
        """Return False: deliveries are created by outcomes."""
        return False

    def get_urls(self) -> list[Any]:
        """Return our URLs instead of the admin's."""
        site = self.admin_site.admin_view
        return [
            path("", site(require_GET(deliveries.delivery_list)), name="notifications_delivery_changelist"),
            path(
                "<int:pk>/change/",
                site(require_GET(deliveries.delivery_page)),
                name="notifications_delivery_change",
            ),
            path("<int:pk>/resend/", site(require_POST(deliveries.resend)), name="notifications_resend"),
        ]
