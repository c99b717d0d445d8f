"""Processes as they start in production: what they refuse, and whom their files are for."""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from schedsite.database import make_private
from scheduler.exceptions import ConflictError
from scheduler.services.accounts import accounts_named_by_their_password, make_first_admin
from tests.stack import ROOT

KEY = secrets.token_urlsafe(50)
BEHIND_A_PROXY = {
    "ALLOWED_HOSTS": "schedsite.example.org",
    "SITE_URL": "https://schedsite.example.org",
    "CSRF_TRUSTED_ORIGINS": "https://schedsite.example.org",
    "TRUST_PROXY_HEADERS": "X-Forwarded-Proto,X-Forwarded-For",
    "SECRET_KEY": KEY,
}
LEFT_OUT = ("DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE", *BEHIND_A_PROXY)


def manage(folder: Path, *arguments: str, umask: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
    """Run `manage.py` on an installation of its own in a folder."""
    kept = {name: value for name, value in os.environ.items() if name not in LEFT_OUT}
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *arguments],
        env={**kept, "SCHEDULER_DATA_DIR": str(folder), "SCHEDULER_TASKS_DIR": str(folder / "tasks"), **more},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        umask=umask,
    )


@pytest.fixture(scope="module")
def set_up_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an installation that `setup` made where everybody may write; no test changes it."""
    folder = tmp_path_factory.mktemp("installation")
    folder.chmod(0o777)
    made = manage(folder, "setup")
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture
def installation(set_up_once: Path, tmp_path: Path) -> Path:
    """Return the folder of an installation of the test's own, with the permissions that its files were made with."""
    return shutil.copytree(set_up_once, tmp_path / "installation")


def open_files_of(folder: Path) -> dict[str, str]:
    """Return the files that others may read, write or run, with their permissions."""
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}
    return {name: oct(mode) for name, mode in modes.items() if mode & 0o077}


def test_nothing_is_found_where_the_settings_are_those_of_the_docs(installation: Path) -> None:
    checked = manage(installation, "check", "--deploy", "--fail-level", "WARNING", **BEHIND_A_PROXY)

    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout.splitlines()[-1] == "System check identified no issues (2 silenced)."


RISKS: list[tuple[dict[str, str], str]] = [
    (
        {"DEBUG": "1"},
        "DEBUG is on and ALLOWED_HOSTS is 'schedsite.example.org': error pages would show code and",
    ),
    ({"DEBUG": "1", "ALLOWED_HOSTS": "*"}, "DEBUG is on and ALLOWED_HOSTS is '*': "),
    ({"SECRET_KEY": "short"}, "SECRET_KEY has 5 characters; at least 32 are needed"),
    (
        {"SECRET_KEY": "x" * 40},
        "SECRET_KEY has 1 different characters, so that it can be guessed; create one with: ",
    ),
    (
        {"SECRET_KEY": f"django-insecure-{KEY}"},
        "SECRET_KEY contains a word of samples and tests, so that it can be guessed; create one with: ",
    ),
    (
        {"SECRET_KEY": ""},
        "SECRET_KEY is required when ALLOWED_HOSTS names more than this machine; create one with: ",
    ),
    (
        {"REDIS_URL": "redis://10.0.0.5/0"},
        "REDIS_URL names the other machine '10.0.0.5' without a password: ",
    ),
]
COMMANDS = ("check", "web", "worker", "dispatcher")


def risky_starts() -> Iterator[Any]:
    """Yield each command with each risk; all but one command for each risk are left to the campaign."""
    for (place, (changed, sentence)), command in product(enumerate(RISKS), COMMANDS):
        is_left = command != COMMANDS[place % len(COMMANDS)]
        yield pytest.param(command, changed, sentence, marks=[pytest.mark.campaign] if is_left else [])


@pytest.mark.parametrize(("command", "changed", "sentence"), list(risky_starts()))
def test_what_is_risky_does_not_start(
    command: str, changed: dict[str, str], sentence: str, tmp_path: Path
) -> None:
    refused = manage(tmp_path, command, **{**BEHIND_A_PROXY, **changed})

    assert refused.returncode == 1
    assert refused.stderr.startswith(f"the settings cannot be used: {sentence}")
    assert KEY not in refused.stderr


@pytest.mark.parametrize(
    "changed", [{"DEBUG": "1"}, {"SECRET_KEY": "x" * 40}, {"REDIS_URL": "redis://10.0.0.5/0"}]
)
def test_a_site_of_this_machine_alone_starts_with_it(changed: dict[str, str], tmp_path: Path) -> None:
    assert manage(tmp_path, "check", **changed).returncode == 0


def test_error_pages_with_details_are_not_served_to_others(tmp_path: Path) -> None:
    refused = manage(tmp_path, "web", "--bind", "0.0.0.0:0", DEBUG="1")

    assert refused.returncode == 1
    assert refused.stderr == (
        "CommandError: DEBUG is on and --bind is '0.0.0.0:0': error pages would show code and settings to others; "
        "set DEBUG=0\n"
    )


def test_files_are_private_whatever_the_folder_and_the_mask(installation: Path) -> None:
    assert installation.stat().st_mode & 0o777 == 0o777
    assert open_files_of(installation) == {}

    saved = manage(installation, "backup", str(installation / "backup.sqlite3"))
    manage(installation, "export_config", str(installation / "config.json"))

    assert saved.returncode == 0, saved.stderr
    assert {path.name for path in installation.iterdir()} >= {
        "db.sqlite3",
        "secret_key",
        "backup.sqlite3",
        "config.json",
    }
    assert open_files_of(installation) == {}


def test_files_of_an_earlier_version_are_made_private(installation: Path) -> None:
    with closing(sqlite3.connect(installation / "db.sqlite3")) as database:
        database.execute("CREATE TABLE more (x)")  # there is a -wal and a -shm while it is open
        for path in filter(Path.is_file, installation.iterdir()):
            path.chmod(0o666)

        manage(installation, "create_token", "--help")
        manage(installation, "export_config", "-")

        assert {path.name for path in installation.iterdir()} >= {"db.sqlite3-wal", "db.sqlite3-shm"}
        assert open_files_of(installation) == {}


def test_a_database_of_somebody_else_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "db.sqlite3"
    path.touch(mode=0o644)

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "chmod", refuse)
    make_private(path)

    assert path.exists()


def test_a_backup_holds_what_the_database_holds(installation: Path, tmp_path: Path) -> None:
    path = tmp_path / "copy.sqlite3"

    saved = manage(installation, "backup", str(path))
    again = manage(installation, "backup", str(path))
    nowhere = manage(installation, "backup", str(tmp_path / "nothing" / "copy.sqlite3"))

    assert saved.stdout == f"The database is in {path}.\n"
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT username FROM auth_user").fetchall() == [("admin",)]
    assert (again.returncode, again.stderr) == (
        1,
        f"CommandError: {path} already exists and is not overwritten\n",
    )
    assert nowhere.stderr == (
        f"CommandError: {tmp_path}/nothing/copy.sqlite3 cannot be written: No such file or directory\n"
    )


@pytest.mark.django_db
def test_postgresql_is_saved_by_its_own_tools(tmp_path: Path) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("of PostgreSQL")

    with pytest.raises(CommandError, match="the database is PostgreSQL: use pg_dump"):
        call_command("backup", str(tmp_path / "copy"))


@pytest.mark.parametrize("password", ["admin", "Admin", "12345678", "short"])
@pytest.mark.django_db
def test_no_admin_with_a_weak_password_is_made_where_others_are_served(
    password: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", password)
    settings.SERVES_THIS_MACHINE_ONLY = False

    with pytest.raises(ConflictError, match=r"^DJANGO_SUPERUSER_PASSWORD is weak: "):
        make_first_admin()

    assert not User.objects.exists()


@pytest.mark.parametrize(("serves_others", "status"), [(True, 200), (False, 302)])
@pytest.mark.django_db
def test_nobody_logs_in_where_others_are_served_whose_password_is_their_name(
    serves_others: bool, status: int, client: Client, settings: Any
) -> None:
    settings.SERVES_THIS_MACHINE_ONLY = not serves_others
    User.objects.create_superuser("Maria", "", "maria")

    answer = client.post("/admin/login/?next=/admin/", {"username": "Maria", "password": "maria"})

    assert answer.status_code == status
    sentence = "The password of this account is its name. Set another one first: manage.py changepassword."
    assert (sentence in answer.content.decode()) is serves_others


@pytest.mark.django_db
def test_superusers_whose_password_is_their_name_are_named() -> None:
    User.objects.create_superuser("ada", "", "ada")
    User.objects.create_superuser("Bob", "", "bob")
    User.objects.create_superuser("eve", "", "a pass phrase")
    User.objects.create_user("joe", "", "joe")

    assert accounts_named_by_their_password() == ["ada", "Bob"]
