"""Make the pictures in docs/images: `python docs/screenshots.py [NAME ...]`.

A demonstration in a temporary folder is served on this machine alone. Pictures that a document shows are taken, by the
names that tests/site_pages.py gives to pages, with -dark, -phone and -zh for other looks; others are deleted. Chromium
is needed; pngquant makes the files a third as large where it is installed.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
HIGHEST = 1400  # pixels; more of a page says no more
PASSWORD = "pictures"


@dataclass(frozen=True)
class Look:
    """How a page is looked at; `suffix` ends the name of its file."""

    suffix: str
    width: int = 1280
    height: int = 800
    scheme: str = "light"
    language: str = "en"


LOOKS = (
    Look(""),
    Look("-dark", scheme="dark"),
    Look("-phone", width=390, height=844),
    Look("-zh", language="zh-hans"),
)


@contextmanager
def installed() -> Iterator[Path]:
    """Set an empty installation up in a temporary folder, and yield the folder."""
    with tempfile.TemporaryDirectory(prefix="schedsite-pictures-") as folder:
        for name in ("DATABASE_URL", "REDIS_URL", "SCHEDULER_SPOOL_DIR"):
            os.environ.pop(name, None)
        os.environ |= {
            "SCHEDULER_DATA_DIR": folder,
            "SCHEDULER_TASKS_DIR": folder,
            "DJANGO_SETTINGS_MODULE": "schedsite.settings",
            "DJANGO_ALLOW_ASYNC_UNSAFE": "true",  # Playwright runs a loop in this thread
        }
        sys.path.insert(0, str(ROOT))
        import django
        from django.core.management import call_command

        django.setup()
        from django.contrib.auth.models import User

        call_command("migrate", verbosity=0)
        User.objects.create_superuser("admin", "admin@example.com", PASSWORD)
        yield Path(folder)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the installation on this machine alone, and yield its address."""
    command = [sys.executable, "manage.py", "web", "--bind", "127.0.0.1:0"]
    path = folder / "server.log"
    with path.open("wb") as log:
        server = subprocess.Popen(command, cwd=ROOT, stderr=log, stdin=subprocess.DEVNULL)
    try:
        yield _address(path)
    finally:
        server.terminate()
        server.wait()


def _address(log: Path) -> str:
    """Return where the server listens, once it answers."""
    for _ in range(600):
        for line in log.read_text().splitlines():
            if "listens on" in line:
                address = line.split()[-1]
                urllib.request.urlopen(f"{address}/admin/login/")
                return address
        time.sleep(0.1)
    raise SystemExit(log.read_text())


def shown() -> set[str]:
    """Return the names of the pictures that documents show, without folder and suffix."""
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    return {name for path in documents for name in re.findall(r"images/([a-z-]+)\.png", path.read_text())}


def shoot(browser: Any, address: str, look: Look, pages: list[tuple[str, str]]) -> None:
    """Take those of the pages in one look that a document shows."""
    pages = [(name, path) for name, path in pages if f"{name}{look.suffix}" in shown()]
    if not pages:
        return
    context = browser.new_context(
        viewport={"width": look.width, "height": look.height},
        color_scheme=look.scheme,
        reduced_motion="reduce",
        timezone_id="UTC",
    )
    context.add_cookies([{"name": "django_language", "value": look.language, "url": address}])
    tab = context.new_page()
    tab.goto(f"{address}/admin/login/")
    tab.fill("#id_username", "admin")
    tab.fill("#id_password", PASSWORD)
    tab.click("[type=submit]")
    tab.wait_for_url(f"{address}/admin/")
    for name, path in pages:
        _keep_alive()
        tab.goto(address + path, wait_until="networkidle")
        tab.evaluate("document.fonts.ready")
        height = tab.evaluate("document.documentElement.scrollHeight")
        tab.set_viewport_size({"width": look.width, "height": min(max(height, look.height), HIGHEST)})
        tab.mouse.move(0, 0)
        tab.screenshot(path=IMAGES / f"{name}{look.suffix}.png")
        tab.set_viewport_size({"width": look.width, "height": look.height})
    context.close()


def _keep_alive() -> None:
    """Do what the processes of the demonstration would: give heartbeats, and move on to the next slots."""
    from scheduler.models import Process, Task
    from scheduler.services.rescheduling import first_slot

    now = datetime.now(UTC)
    Process.objects.update(heartbeat_at=now)
    for task in Task.objects.filter(next_run_at__lt=now):
        Task.objects.filter(pk=task.pk).update(next_run_at=first_slot(task, now))


def pages_of_the_demonstration(wanted: list[str]) -> list[tuple[str, str]]:
    """Return name and address of each picture."""
    from notifications.models import Delivery, NotificationRule
    from scheduler.models import Execution, Task
    from tests import site_pages

    found = site_pages.keys()
    found["task"] = Task.objects.get(task_id="backup_database").pk
    failed = Execution.objects.filter(
        status="technical_failure", is_outcome=True, attempt__gt=1, log_size__gt=0
    )
    found["execution"] = failed.latest("queued_at").pk
    found["run"] = Execution.objects.filter(task__task_id="refresh_dashboards").latest("queued_at").run_id
    found["notificationrule"] = NotificationRule.objects.get(name="Shop unreachable").pk
    found["delivery"] = Delivery.objects.filter(rule_name="No backup").latest("created_at").pk
    pictures = {}
    for name, address in site_pages.walk(found):
        page = site_pages.page_of(name)
        if page is not None and page.picture:
            query = address.partition("view=")[2]
            shape = f"-{query}" if query and query != "cards" else ""
            pictures.setdefault(f"{page.picture}{shape}", address)
    return [(name, address) for name, address in pictures.items() if not wanted or name in wanted]


def main() -> None:
    """Take all pictures, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="pictures to take, such as overview; all when none is named")
    wanted = parser.parse_args().names
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("Chromium is missing")
    IMAGES.mkdir(exist_ok=True)
    with installed() as folder:
        from django.core.management import call_command
        from playwright.sync_api import sync_playwright

        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            call_command("seed_demo")
            pages = pages_of_the_demonstration(wanted)
            with served(folder) as address:
                for look in LOOKS:
                    shoot(browser, address, look, pages)
            browser.close()
    _press()


def _press() -> None:
    """Delete what no document shows, make the files smaller, and say how large they are."""
    for file in IMAGES.glob("*.png"):
        if file.stem not in shown():
            file.unlink()
    files = sorted(IMAGES.glob("*.png"))
    if shutil.which("pngquant"):
        subprocess.run(
            ["pngquant", "--force", "--skip-if-larger", "--ext", ".png", "--strip", *files], check=False
        )
    else:
        print("pngquant is not installed: the files are larger than they need to be")
    size = sum(file.stat().st_size for file in files)
    print(f"{len(files)} pictures, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
