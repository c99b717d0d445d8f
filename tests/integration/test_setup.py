"""`manage.py setup`: roles, the first admin account, the first import; again and again."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command

from scheduler.models import Task

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def no_superuser_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USERNAME", "PASSWORD", "EMAIL"):
        monkeypatch.delenv(f"DJANGO_SUPERUSER_{name}", raising=False)


def _setup() -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("setup", stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def _write_config(settings: Any, *tasks: dict[str, Any]) -> Path:
    path: Path = settings.SCHEDULER_TASKS_DIR / "config.json"
    path.write_text(json.dumps({"tasks": tasks}), encoding="utf-8")
    return path


def _permissions(role: str) -> set[str]:
    return set(Group.objects.get(name=role).permissions.values_list("codename", flat=True))


HELLO = {"task_id": "hello", "task_name": "Hello", "task_exec": "true", "task_schedule": "* * * * *"}


def test_first_setup_prints_a_password_that_works() -> None:
    out, _ = _setup()

    password = re.search(r"Password: +(\S+)", out)
    assert password is not None
    admin = User.objects.get(username="admin")
    assert admin.is_superuser and admin.check_password(password[1])


def test_second_setup_makes_and_prints_no_account() -> None:
    _setup()

    out, err = _setup()

    assert "Password" not in out and err == ""
    assert User.objects.count() == 1


def test_account_comes_from_the_environment_and_its_password_is_not_printed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_USERNAME", "root")
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "correct horse battery")
    monkeypatch.setenv("DJANGO_SUPERUSER_EMAIL", "root@example.org")

    out, _ = _setup()

    user = User.objects.get()
    assert (user.username, user.email) == ("root", "root@example.org")
    assert user.check_password("correct horse battery")
    assert "Admin account:  root" in out
    assert "correct horse battery" not in out and "Password" not in out


def test_ordinary_account_of_that_name_is_not_promoted() -> None:
    User.objects.create_user("admin")

    _, err = _setup()

    assert 'the account "admin" exists and is not an admin' in err
    assert not User.objects.get().is_superuser


def test_roles_grow_from_viewer_to_admin() -> None:
    _setup()

    viewer, operator, editor, admin = map(_permissions, ("Viewer", "Operator", "Editor", "Admin"))
    assert {"view_task", "view_execution"} <= viewer and all(name.startswith("view_") for name in viewer)
    assert operator - viewer == {"run_task", "cancel_execution", "test_notificationrule", "resend_delivery"}
    written = ("task", "taskdependency", "notificationrule", "rulechannel")
    assert editor - operator == {
        f"{verb}_{model}" for verb in ("add", "change", "delete") for model in written
    }
    assert editor < admin and {"add_user", "change_group", "delete_apitoken"} <= admin


def test_role_that_was_changed_is_set_again() -> None:
    _setup()
    Group.objects.get(name="Viewer").permissions.clear()

    _setup()

    assert "view_task" in _permissions("Viewer")


def test_first_setup_imports_the_configuration(settings: Any) -> None:
    _write_config(settings, HELLO)

    out, err = _setup()

    assert "1 tasks imported" in out or "1 task imported" in out
    assert err == ""
    assert Task.objects.get().next_run_at is not None


def test_later_setup_leaves_tasks_alone(settings: Any, make_task: Any) -> None:
    make_task("mine")
    _write_config(settings, HELLO)

    _setup()

    assert [task.task_id for task in Task.objects.all()] == ["mine"]


def test_refused_configuration_is_reported_and_setup_goes_on(settings: Any) -> None:
    path = _write_config(settings, {**HELLO, "task_timeot": 5})

    out, err = _setup()

    assert re.search(r"config\.json:\d+:\d+: .*task_timeot", err)
    assert 'did you mean "task_timeout"?' in err
    assert f"No task was imported. Correct the file, then run: python manage.py import_config {path}" in err
    assert not Task.objects.exists()
    assert "Admin account:  admin" in out


def test_missing_configuration_is_said() -> None:
    out, err = _setup()

    assert "There is no task yet" in out
    assert err == ""


# --- before setup ---------------------------------------------------------------------------------


def manage(*arguments: str, **environment: str) -> tuple[int, str]:
    """Run manage.py as a person does; return its exit code and what it said of errors."""
    ended = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stderr


def test_commands_say_so_before_setup_was_run(tmp_path: Path) -> None:
    code, said = manage("export_config", SCHEDULER_DATA_DIR=str(tmp_path), DATABASE_URL="")

    assert code == 1
    assert re.fullmatch(
        r"CommandError: \d+ migrations are missing in the database; run: python manage.py setup\n",
        said,
    )


def test_database_that_cannot_be_used_is_told_in_one_line() -> None:
    assert manage("setup", DATABASE_URL="sqlite:////nowhere/db.sqlite3") == (
        1,
        "CommandError: the database cannot be used: unable to open database file\n",
    )


def test_folder_of_data_that_cannot_be_made_is_told_in_one_line() -> None:
    code, said = manage("check", SCHEDULER_DATA_DIR="/dev/null")

    assert (code, said) == (
        1,
        "the settings cannot be used: SCHEDULER_DATA_DIR is '/dev/null', which is not a folder and cannot be created: "
        "File exists\n",
    )


def test_setting_that_cannot_be_used_is_told_in_one_line() -> None:
    assert manage("check", SCHEDULER_SLOTS="many") == (
        1,
        "the settings cannot be used: SCHEDULER_SLOTS is 'many'; a number is needed\n",
    )


def test_pass_of_the_dispatcher_without_tables_says_what_to_do(tmp_path: Path) -> None:
    code, said = manage("dispatcher", "--once", DATABASE_URL=f"sqlite:///{tmp_path}/empty.sqlite3")

    assert code == 1
    assert said.endswith("run: python manage.py setup\n")
    assert "Traceback" not in said
