"""The admin application: only processes that serve pages, and checks, load its modules."""

from __future__ import annotations

import gc
from typing import Any

from django.contrib import admin
from django.contrib.admin.apps import SimpleAdminConfig
from django.contrib.admin.checks import check_admin_app, check_dependencies
from django.core import checks


class AdminConfig(SimpleAdminConfig):
    """Leaves autodiscovery to the URLconf: workers, dispatchers and most commands serve no pages."""

    def ready(self) -> None:
        """Register Django's checks, and collect garbage from now on, among objects made after the start only."""
        gc.freeze()
        gc.enable()
        checks.register(check_dependencies, checks.Tags.admin)
        checks.register(check_pages, checks.Tags.admin)


def check_pages(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """Check all admin pages, whatever the order of checks."""
    admin.autodiscover()
    return list(check_admin_app(app_configs, **kwargs))
