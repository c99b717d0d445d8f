"""`manage.py worker`: the cluster that runs executions, started again whenever it fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

RESTART_WAIT = 0.2
LONGEST_RESTART_WAIT = 5.0
HEALTHY_AFTER = 30.0


class Command(BaseCommand):
    """Keeps one cluster going until SIGTERM or SIGINT."""

    help = "Run queued executions (a django-q2 cluster that is started again when any process of it dies)."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--cluster", action="store_true", help="Be the cluster itself (used internally).")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the cluster, or keep one going."""
        if options["cluster"]:
            from scheduler.cluster import run_cluster

            os._exit(run_cluster())
        sys.exit(self._keep_going())

    def _keep_going(self) -> int:
        child: subprocess.Popen[bytes] | None = None
        stopping: list[int] = []  # no event: one signal may interrupt the handler of another

        def stop(number: int, _frame: object) -> None:
            stopping.append(number)
            if child is not None and child.poll() is None:
                child.send_signal(signal.SIGTERM)

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, stop)
        wait = RESTART_WAIT
        manage = Path(settings.BASE_DIR) / "manage.py"
        while not stopping:
            started = time.monotonic()
            # Its own process group: Ctrl-C on the terminal reaches this process, which stops the cluster in order.
            child = subprocess.Popen([sys.executable, str(manage), "worker", "--cluster"], process_group=0)
            if stopping:
                child.send_signal(signal.SIGTERM)
            code = child.wait()
            if stopping:
                return 0 if code in (0, -signal.SIGTERM) else code
            wait = (
                RESTART_WAIT
                if time.monotonic() - started > HEALTHY_AFTER
                else min(wait * 2, LONGEST_RESTART_WAIT)
            )
            self.stderr.write(f"the cluster ended with code {code}; starting it again in {wait:g} s")
            time.sleep(wait)
        return 0
