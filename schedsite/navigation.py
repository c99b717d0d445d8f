"""The sidebar: its entries, their permissions, and which entry a page belongs to."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.urls import reverse, reverse_lazy
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


def _link(title: Any, icon: str, name: str, permission: str = "") -> dict[str, Any]:
    """Return a sidebar entry, shown to users with the permission."""
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(name),
        "permission": lambda request: not permission or request.user.has_perm(permission),
        "active": lambda request: _is_at(request.path, str(reverse_lazy(name))),
    }


def _is_at(path: str, link: str) -> bool:
    """Return whether a page belongs to an entry of the sidebar: pages of their own below another's address do not."""
    alone = _pages_without_others_below()
    return path == link if path in alone or link in alone else path.startswith(link)


@cache
def _pages_without_others_below() -> frozenset[str]:
    """Return their addresses; a page asks for them once for each entry."""
    names = ("graph", "timeline", "system", "import", "export", "sessions")
    return frozenset(map(reverse, ("admin:index", *(f"admin:scheduler_{name}" for name in names))))


NAVIGATION: list[dict[str, Any]] = [
    {
        "items": [
            _link(_("Overview"), "dashboard", "admin:index"),
            _link(_("Tasks"), "schedule", "admin:scheduler_task_changelist", "scheduler.view_task"),
            _link(
                _("Executions"),
                "history",
                "admin:scheduler_execution_changelist",
                "scheduler.view_execution",
            ),
            _link(_("Runs"), "play_circle", "admin:scheduler_run_changelist", "scheduler.view_run"),
            _link(_("Graph"), "account_tree", "admin:scheduler_graph", "scheduler.view_task"),
            _link(
                _("Timeline"),
                "view_timeline",
                "admin:scheduler_timeline",
                "scheduler.view_execution",
            ),
        ]
    },
    {
        "title": _("Notifications"),
        "separator": True,
        "items": [
            _link(
                _("Rules"),
                "notifications",
                "admin:notifications_notificationrule_changelist",
                "notifications.view_notificationrule",
            ),
            _link(
                _("Deliveries"),
                "outgoing_mail",
                "admin:notifications_delivery_changelist",
                "notifications.view_delivery",
            ),
        ],
    },
    {
        "title": _("Installation"),
        "separator": True,
        "items": [
            _link(
                pgettext_lazy("page", "System"),
                "monitor_heart",
                "admin:scheduler_system",
                "scheduler.view_process",
            ),
            _link(_("Import"), "upload_file", "admin:scheduler_import", "scheduler.add_task"),
            _link(_("Export"), "download", "admin:scheduler_export", "scheduler.change_task"),
            _link(_("API"), "api", "docs"),
        ],
    },
    {
        "title": _("Access"),
        "separator": True,
        "items": [
            _link(_("Users"), "person", "admin:auth_user_changelist", "auth.view_user"),
            _link(_("Groups"), "group", "admin:auth_group_changelist", "auth.view_group"),
            _link(
                _("API tokens"),
                "key",
                "admin:scheduler_apitoken_changelist",
                "scheduler.view_apitoken",
            ),
            _link(pgettext_lazy("page", "Sessions"), "devices", "admin:scheduler_sessions"),
            _link(
                _("Audit"),
                "policy",
                "admin:scheduler_auditevent_changelist",
                "scheduler.view_auditevent",
            ),
        ],
    },
]
