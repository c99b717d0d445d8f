"""What the benchmarks share: an installation of their own in a temporary folder, and where results go."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


@contextmanager
def installation(**settings: str) -> Iterator[Path]:
    """Set Django up on an empty SQLite database in a temporary folder, and yield the folder."""
    with tempfile.TemporaryDirectory(prefix="schedsite-bench-") as folder:
        for name in ("DATABASE_URL", "REDIS_URL", "SCHEDULER_SPOOL_DIR"):
            os.environ.pop(name, None)
        os.environ |= {
            "SCHEDULER_DATA_DIR": folder,
            "SCHEDULER_TASKS_DIR": folder,
            "DJANGO_SETTINGS_MODULE": "schedsite.settings",
            "ALLOWED_HOSTS": "testserver,localhost",
            **settings,
        }
        sys.path.insert(0, str(ROOT))
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        yield Path(folder)


@contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Python program, and stop it in order at the end."""
    started = subprocess.Popen([sys.executable, *arguments], stdin=subprocess.DEVNULL)
    try:
        yield started
    finally:
        started.terminate()
        started.wait()


@contextmanager
def started(command: str, kind: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run `manage.py command` and yield once a process of that kind has given a heartbeat."""
    from scheduler.models import Process

    with process(str(ROOT / "manage.py"), command) as running:
        wait_until(Process.objects.filter(kind=kind, stopped_at=None).exists)
        yield running


def wait_until(condition: Callable[[], bool], *, every: float = 0.05) -> None:
    """Wait until `condition` holds."""
    while not condition():
        time.sleep(every)


def write_result(name: str, result: Mapping[str, Any]) -> None:
    """Write a result to benchmarks/results/ as JSON."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
