"""`manage.py worker`: run the cluster that executes tasks, and restart it if it fails."""

from __future__ import annotations

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from scheduler.management.checks import INSTALLATION
from scheduler.processes import image
from scheduler.processes.keeper import Keeper
from scheduler.runner.spool import Spool


class Command(BaseCommand):
    """Runs one cluster until SIGTERM or SIGINT."""

    help = "Run queued executions (a django-q2 cluster that is started again when any process of it dies)."
    requires_system_checks = [INSTALLATION]

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the keeper, which forks the cluster from what is loaded here."""
        from scheduler.processes.cluster import run_cluster

        image.load()
        keeper = Keeper(
            Spool(settings.SCHEDULER_SPOOL_DIR),
            lambda socket: run_cluster(keeper=socket),
            log_limit=settings.SCHEDULER_LOG_LIMIT,
            say=self.stderr.write,
        )
        sys.exit(keeper.run())
