"""A full disk is called so by API, site, health and check, and work goes on when there is room again."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import httpx
import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse

from scheduler.models import Task
from scheduler.services.tokens import create_token
from tests.api_client import TokenClient
from tests.stack import ROOT, wait_until
from tests.support.pages import FORM, compact

TEXT = "# " + "x" * 100_000
SITE = """
from django.contrib.auth.models import User
from scheduler.services.tokens import create_token
user = User.objects.create_superuser("admin", password="pw")
print("TOKEN", create_token(user, name="test"))
"""


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """Mount a disk of 24 MB that everybody may look into; only root may."""
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("only root can mount a small disk")
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    disk = folder / "disk"
    disk.mkdir()
    if subprocess.run([mount, "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)
    shutil.rmtree(folder)


def fill(folder: Path) -> Path:
    """Write a file until there is no room left."""
    path = folder / "filler"
    file = os.open(path, os.O_CREAT | os.O_WRONLY)
    with suppress(OSError):
        while True:
            os.write(file, b"x" * 4096)
    os.close(file)
    return path


class Installation:
    """A site on SQLite of its own, all of it on one disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port = free.getsockname()[1]
        self.env = {
            **{
                name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")
            },
            "SCHEDULER_DATA_DIR": str(folder),
            "SCHEDULER_TASKS_DIR": str(folder.parent / "scripts" / "tasks"),
            "SECRET_KEY": "of a test" * 10,
            "DEBUG": "0",
            "ALLOWED_HOSTS": "127.0.0.1",
            "SCHEDULER_FREE_SPACE": "2",
        }
        Path(self.env["SCHEDULER_TASKS_DIR"]).mkdir(parents=True)
        self.manage("migrate", "-v0")
        self.token = re.findall(r"TOKEN (\S+)", self.manage("shell", "-v0", "-c", SITE))[0]
        arguments = [str(ROOT / "manage.py"), "web", "--bind", f"127.0.0.1:{self.port}"]
        self.web = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=self.env)
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", timeout=60, headers={"Connection": "close"}
        )
        wait_until(self.answers, what="an answer of the site")

    def manage(self, *arguments: str) -> str:
        command = [sys.executable, str(ROOT / "manage.py"), *arguments]
        ended = subprocess.run(command, env=self.env, capture_output=True, text=True, check=False)
        return ended.stdout + ended.stderr

    def answers(self) -> bool:
        with suppress(httpx.TransportError):
            return self.client.get("/healthz").status_code in (200, 503)
        return False

    def create(self, name: str) -> httpx.Response:
        body = {"task_id": name, "task_name": name, "task_exec": TEXT}
        return self.client.post(
            "/api/scheduler/tasks", json=body, headers={"Authorization": f"Bearer {self.token}"}
        )

    def send(self, path: str, **fields: str) -> httpx.Response:
        """Send a form of the site."""
        token = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', self.client.get(path).text)[0]
        return self.client.post(path, data={**fields, "csrfmiddlewaretoken": token})

    def log_in(self) -> httpx.Response:
        return self.send("/admin/login/", username="admin", password="pw", next="/admin/")


@pytest.fixture
def installation(small_disk: Path) -> Iterator[Installation]:
    made = Installation(small_disk)
    yield made
    made.web.terminate()
    made.web.wait(30)


def first_refused(installation: Installation) -> tuple[int, httpx.Response]:
    """Make tasks until one is refused: some room is left in the file that SQLite writes to first."""
    for number in range(200):
        answer = installation.create(f"a{number}")
        if answer.status_code != 201:
            return number, answer
    raise AssertionError("nothing was refused")


@pytest.mark.proves("G20")
def test_a_full_disk_is_called_so_and_nothing_is_lost(installation: Installation) -> None:
    installation.log_in()
    healthy = installation.client.get("/healthz").json()
    filler = fill(installation.folder)

    made, refused = first_refused(installation)
    page = installation.send("/admin/scheduler/task/add/", **{**FORM, "task_id": "b", "command": TEXT})
    health = installation.client.get("/healthz")
    checked = installation.manage("check")

    assert "the disk of SCHEDULER_DATA_DIR is full" not in healthy["reasons"]
    assert (refused.status_code, refused.headers["Content-Type"]) == (507, "application/problem+json")
    detail = "The disk is full; nothing was changed. Free space on the server and send it again."
    assert (refused.json()["detail"], refused.json()["title"]) == (detail, "Insufficient Storage")
    assert page.status_code == 507
    assert "<h1>The disk is full</h1>" in compact(page.text) and "scheduler/site" in page.text
    assert health.status_code == 503
    assert "the disk of SCHEDULER_DATA_DIR is full" in health.json()["reasons"]
    assert f"0 MB are free on the disk of {installation.folder} (SCHEDULER_DATA_DIR)" in checked

    filler.unlink()
    assert installation.create(f"a{made}").status_code == 201
    answer = installation.client.get(
        "/api/scheduler/tasks?page_size=500", headers={"Authorization": f"Bearer {installation.token}"}
    )
    assert len(set(re.findall(r'"task_id": ?"(a\d+)"', answer.text))) == made + 1


def test_a_disk_that_is_nearly_full_is_warned_of(installation: Installation) -> None:
    filler = fill(installation.folder)
    with filler.open("r+b") as file:
        file.truncate(filler.stat().st_size - 1_700_000)

    warnings = installation.client.get("/healthz").json()["warnings"]
    installation.log_in()
    system = installation.client.get("/admin/scheduler/task/system/", follow_redirects=True)
    overview = installation.client.get("/admin/")
    checked = installation.manage("check")

    assert warnings == ["2 MB are free on the disk of SCHEDULER_DATA_DIR, less than 2"]
    for html in (system.text, overview.text):
        assert f"free on the disk of {installation.folder} (SCHEDULER_DATA_DIR)." in html
    assert "(scheduler.W004)" in checked


@pytest.fixture
def small_tablespace(transactional_db: None, small_disk: Path) -> Iterator[Path]:
    """Keep the revisions of tasks on a small disk of the database server, which is this machine."""
    if connection.vendor != "postgresql" or connection.settings_dict["HOST"] not in (
        "127.0.0.1",
        "localhost",
        "",
    ):
        pytest.skip("only a PostgreSQL of this machine can use a small disk")
    folder = small_disk / "space"
    folder.mkdir()
    shutil.chown(folder, "postgres", "postgres")
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLESPACE small LOCATION %s", [str(folder)])
        cursor.execute("ALTER TABLE scheduler_taskrevision SET TABLESPACE small")
    yield folder
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE scheduler_taskrevision SET TABLESPACE pg_default")
        cursor.execute("DROP TABLESPACE small")


@pytest.mark.postgres
def test_a_full_disk_of_postgresql_is_called_so(small_tablespace: Path, admin_client: Client) -> None:
    api = TokenClient(create_token(User.objects.get(), name="test"))
    words = {"task_id": "a", "task_name": "a", "task_exec": "# " + secrets.token_hex(60_000)}
    filler = fill(small_tablespace.parent)

    refused = api.post("tasks", words)
    page = admin_client.post(reverse("admin:scheduler_task_add"), {**FORM, "command": words["task_exec"]})
    filler.unlink()

    detail = "The disk is full; nothing was changed. Free space on the server and send it again."
    assert (refused.status_code, refused.json()["detail"]) == (507, detail)
    assert (page.status_code, "<h1>The disk is full</h1>" in compact(page)) == (507, True)
    assert not Task.objects.exists()
    assert api.post("tasks", words).status_code == 201
