"""`manage.py worker`: run the cluster that executes tasks, and restart it if it fails."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from schedsite import STARTED_WITH
from scheduler.management.checks import INSTALLATION
from scheduler.processes.keeper import Keeper
from scheduler.runner.spool import Spool


class Command(BaseCommand):
    """Runs one cluster until SIGTERM or SIGINT."""

    help = "Run queued executions (a django-q2 cluster that is started again when any process of it dies)."
    requires_system_checks = [INSTALLATION]

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "--cluster",
            nargs="?",
            type=int,
            const=-1,
            metavar="SOCKET",
            help="Be the cluster itself (used internally); reading ends of pipes are sent to the socket.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the cluster, or the keeper that restarts it."""
        if options["cluster"] is not None:
            from scheduler.processes.cluster import run_cluster

            os._exit(run_cluster(keeper=options["cluster"]))
        keeper = Keeper(
            Spool(settings.SCHEDULER_SPOOL_DIR),
            [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), "worker", "--cluster"],
            env=STARTED_WITH,
            log_limit=settings.SCHEDULER_LOG_LIMIT,
            say=self.stderr.write,
        )
        sys.exit(keeper.run())
