"""Where and with what commands start: folder, environment, Python, shell, and what they are told."""

from __future__ import annotations

import html
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from scheduler.choices import Status, Trigger
from scheduler.config_file import ConfigError, parse_config, validate_task
from scheduler.models import Execution, Process, Task
from scheduler.processes.supervisor import Supervisor
from scheduler.runner import Spool
from scheduler.runner.environment import allowed_environment
from scheduler.services import folders, heartbeats
from scheduler.services.configuration import apply_import, plan_import
from scheduler.services.runs import request_run
from scheduler.services.scripts import create_from_template
from scheduler.services.tasks import delete_task, save_task
from scheduler.task_mapping import task_to_spec
from tests.conftest import NOON
from tests.sinks import free_port
from tests.stack import Stack, wait_until
from tests.support.pages import FORM

Run = Callable[[Task], Execution]
MISSING = (
    "could not start: the folder {folder} is missing, and the task had one; mount or restore it, make an empty one, "
    "or rename the old one if the task was renamed"
)


@pytest.fixture(autouse=True)
def _own_data(settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path


@pytest.fixture
def run(transactional_db: None) -> Run:
    """Return a function that runs a task in a worker within this process."""

    def run_once(task: Task) -> Execution:
        spool = Spool(settings.SCHEDULER_SPOOL_DIR)
        now = datetime.now(UTC)
        process = heartbeats.register(
            Process.Kind.WORKER, host_id=spool.host_id, queue="default", slots=4, now=now
        )
        execution = request_run(task, trigger=Trigger.MANUAL, user=None, now=now)
        Supervisor(process, spool).run()
        execution.refresh_from_db()
        return execution

    return run_once


def log_of(execution: Execution) -> str:
    return "".join(execution.log_pieces.order_by("offset").values_list("text", flat=True))


# --- folders --------------------------------------------------------------------------------------


def test_task_that_never_had_a_folder_runs_beside_the_tasks_folder(run: Run, make_task: Any) -> None:
    execution = run(make_task("a", task_exec="pwd"))

    assert log_of(execution).strip() == str(settings.SCHEDULER_TASKS_DIR.parent)
    assert not Task.objects.get().has_folder


def test_file_with_the_name_of_a_task_is_no_folder_of_it(run: Run, make_task: Any) -> None:
    (settings.SCHEDULER_TASKS_DIR / "a").write_text("echo from the file\n")

    execution = run(make_task("a", task_exec="sh tasks/a"))

    assert log_of(execution) == "from the file\n"


@pytest.mark.parametrize("seen", ["at save", "at start", "by the dispatcher"])
def test_task_whose_folder_is_gone_does_not_start_one_folder_up(seen: str, run: Run, make_task: Any) -> None:
    folder = settings.SCHEDULER_TASKS_DIR / "a"
    if seen == "at save":
        folder.mkdir()
    task = make_task("a", task_exec="pwd")
    if seen != "at save":
        folder.mkdir()
        assert not Task.objects.get().has_folder
    if seen == "at start":
        assert log_of(run(task)).strip() == str(folder)
    if seen == "by the dispatcher":
        folders.look_for_folders()
    folder.rmdir()

    execution = run(task)
    folder.mkdir()
    again = run(task)

    assert (execution.status, execution.reason) == (
        Status.TECHNICAL_FAILURE,
        MISSING.format(folder=folder),
    )
    assert log_of(execution) == ""
    assert (again.status, log_of(again).strip()) == (Status.SUCCESS, str(folder))


def test_folder_of_a_new_task_from_a_template_is_known_at_once(run: Run) -> None:
    spec = validate_task({"task_id": "a", "task_name": "A", "task_exec": "pwd"})

    task = create_from_template(spec, kind="shell", user=None, now=NOON)
    folder = settings.SCHEDULER_TASKS_DIR / "a"
    (folder / "main.sh").unlink()
    folder.rmdir()

    assert run(task).reason == MISSING.format(folder=folder)


def test_saving_a_task_while_its_disk_is_away_forgets_no_folder(run: Run, make_task: Any) -> None:
    folder = settings.SCHEDULER_TASKS_DIR / "a"
    folder.mkdir()
    task = make_task("a", task_exec="pwd")
    folder.rmdir()

    task = save_task({**task_to_spec(task), "task_desc": "x"}, task=task, user=None, now=NOON)

    assert run(task).reason == MISSING.format(folder=folder)


def test_tasks_folder_that_is_not_mounted_is_an_error(run: Run, make_task: Any) -> None:
    folder = settings.SCHEDULER_TASKS_DIR
    (folder / "a").mkdir()
    task = make_task("a", task_exec="pwd")
    folder.rename(folder.with_name("unmounted"))

    assert run(task).reason == MISSING.format(folder=folder / "a")


def test_folder_that_became_a_file_is_an_error(run: Run, make_task: Any) -> None:
    folder = settings.SCHEDULER_TASKS_DIR / "a"
    folder.mkdir()
    task = make_task("a", task_exec="pwd")
    folder.rmdir()
    folder.write_text("")

    assert run(task).reason == MISSING.format(folder=folder)


def test_dangling_link_is_an_error_though_the_task_never_had_a_folder(run: Run, make_task: Any) -> None:
    folder = settings.SCHEDULER_TASKS_DIR / "a"
    folder.symlink_to("/gone/away")

    execution = run(make_task("a", task_exec="pwd"))

    assert execution.reason == f"could not start: the folder {folder} is a broken link"


def test_tasks_folder_behind_a_link_is_resolved_at_each_start(
    run: Run, make_task: Any, settings: Any, tmp_path: Path
) -> None:
    for release in ("one", "two"):
        (tmp_path / release / "tasks" / "a").mkdir(parents=True)
    link = tmp_path / "current"
    settings.SCHEDULER_TASKS_DIR = link
    inside, beside = make_task("a", task_exec="pwd -P"), make_task("b", task_exec="pwd -P")
    found = []

    for release in ("one", "two"):
        link.unlink(missing_ok=True)
        link.symlink_to(tmp_path / release / "tasks")
        found.append([log_of(run(task)).strip() for task in (inside, beside)])
    link.unlink()
    link.symlink_to("/gone/away")
    reasons = {run(task).reason for task in (inside, beside)}

    assert found == [[str(tmp_path / name / "tasks" / "a"), str(tmp_path / name)] for name in ("one", "two")]
    assert reasons == {f"could not start: the tasks folder {link} is a broken link"}


def test_settings_keep_the_link_that_names_the_tasks_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    code = "from django.conf import settings; print(settings.SCHEDULER_TASKS_DIR)"
    env = {
        **os.environ,
        "SCHEDULER_TASKS_DIR": "link",
        "SCHEDULER_DATA_DIR": str(tmp_path / "var"),
        "PYTHONPATH": str(settings.BASE_DIR),
        "DJANGO_SETTINGS_MODULE": "schedsite.settings",
    }

    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True)

    assert done.stdout.strip() == str(tmp_path / "link"), done.stderr


def test_renamed_task_needs_its_folder_renamed_and_says_so(run: Run, make_task: Any) -> None:
    old, new = (settings.SCHEDULER_TASKS_DIR / name for name in ("a", "b"))
    old.mkdir()
    task = make_task("a", task_exec="pwd")

    task = save_task({**task_to_spec(task), "task_id": "b"}, task=task, user=None, now=NOON)
    missing = run(task)
    old.rename(new)

    assert missing.reason == MISSING.format(folder=new)
    assert log_of(run(task)).strip() == str(new)


def test_task_that_is_made_again_after_it_was_deleted_begins_without_a_folder(
    run: Run, make_task: Any
) -> None:
    folder = settings.SCHEDULER_TASKS_DIR / "a"
    folder.mkdir()
    delete_task(make_task("a"), user=None, now=NOON)
    folder.rmdir()

    execution = run(make_task("a", task_exec="pwd"))

    assert log_of(execution).strip() == str(settings.SCHEDULER_TASKS_DIR.parent)


# --- environment ----------------------------------------------------------------------------------


def test_variables_come_from_server_file_task_and_schedsite_in_this_order(
    run: Run, make_task: Any, settings: Any
) -> None:
    settings.COMMAND_ENVIRONMENT = allowed_environment(
        {"HOME": "/server", "LANG": "C", "LC_ALL": "C", "TZ": "Europe/Berlin", "SECRET_KEY": "s3cret"}
    )
    (settings.SCHEDULER_TASKS_DIR.parent / "task.env").write_text(
        "LANG=file\nA=file\nB=file\nATTEMPT=file\nX=${HOME}/${B}\n"
    )
    env = {"_ENV_FILE": "task.env", "A": "task", "ATTEMPT": "9"}

    execution = run(make_task("a", task_exec="echo $HOME $LANG $LC_ALL $A $B $ATTEMPT $X; env", task_env=env))

    first, *rest = log_of(execution).splitlines()
    assert first == "/server file C task file 1 /server/file"
    assert "TZ=Europe/Berlin" in rest
    names = {line.partition("=")[0] for line in rest} - {"PWD", "OLDPWD", "SHLVL", "_", "SCHEDSITE_CLAIM"}
    built_in = {"TASK_ID", "TASK_NAME", "EXECUTION_ID", "RUN_ID", "SCHEDULED_FOR", "ATTEMPT"}
    assert names == {"HOME", "LANG", "LC_ALL", "TZ", "PATH", "A", "B", "X", *built_in}


def test_environment_file_may_be_named_by_an_absolute_path(run: Run, make_task: Any, tmp_path: Path) -> None:
    path = tmp_path / "elsewhere" / "my.env"
    path.parent.mkdir()
    path.write_text("A=yes\n")

    execution = run(make_task("a", task_exec="echo $A", task_env={"_ENV_FILE": str(path)}))

    assert log_of(execution) == "yes\n"


def test_what_cannot_be_read_of_an_environment_file_stands_in_the_log(run: Run, make_task: Any) -> None:
    path = settings.SCHEDULER_TASKS_DIR.parent / "my.env"
    path.write_text("A=1\nthis is s3cret\nB=$GONE\n")

    execution = run(make_task("a", task_exec="echo $A", task_env={"_ENV_FILE": "my.env"}))

    assert log_of(execution) == (
        f"[schedsite: environment file {path}, line 2 is not NAME=value and is ignored]\n"
        f"[schedsite: environment file {path}, line 3 names GONE, which is not set, so it is empty there]\n"
        "1\n"
    )
    assert execution.status == Status.SUCCESS


def test_environment_file_of_a_thousand_bad_lines_says_so_briefly(run: Run, make_task: Any) -> None:
    path = settings.SCHEDULER_TASKS_DIR.parent / "my.env"
    path.write_text("bad line\n" * 1000)

    log = log_of(run(make_task("a", task_exec="echo end", task_env={"_ENV_FILE": "my.env"})))

    lines = log.splitlines()
    assert len(log) < 4200 and lines[-1] == "end"
    assert lines[-2] == f"[schedsite: {1000 - (len(lines) - 2)} more of this kind]"


def test_variable_that_the_file_requires_and_nobody_sets_keeps_the_task_from_starting(
    run: Run, make_task: Any
) -> None:
    path = settings.SCHEDULER_TASKS_DIR.parent / "my.env"
    path.write_text("A=${GONE:?ask the team}\n")

    execution = run(make_task("a", task_env={"_ENV_FILE": "my.env"}))

    assert execution.reason == (
        f"could not start: the environment file {path}, line 1: GONE has no value: ask the team"
    )


def test_sum_of_all_variables_that_linux_refuses_has_its_own_sentence(run: Run, make_task: Any) -> None:
    env = {f"V{number}": "x" * 100_000 for number in range(80)}

    execution = run(make_task("a", task_env=env))

    assert execution.status == Status.TECHNICAL_FAILURE
    assert execution.reason.startswith("could not start: the command and its variables have 8,0")
    assert execution.reason.endswith(f"bytes together; Linux allows some {os.sysconf('SC_ARG_MAX'):,} here")


LONGEST = 131_071  # bytes of one argument that Linux starts

#: How a text begins, what fills it, and how it ends.
LONG_TEXTS = [
    ("printf %s '", "é", 0),  # nothing of it can touch the shell, but it is too long to be looked at
    ("exec printf %s '", "é", 0),
    ("trap : EXIT\nprintf %s '", "é", 0),
    ("# a comment\nprintf %s '", "\n", 0),
    ("-x || printf %s '", "é", 0),
    ("+x || printf %s '", "é", 0),
    ("- || printf %s '", "é", 0),
    ("-- || printf %s '", "é", 0),
    ("-c '", "x", 127),
    ("+x '", "x", 127),
]


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
def test_longest_command_that_is_taken_starts_whatever_it_begins_with(
    run: Run, make_task: Any, shell: str
) -> None:
    found = []

    for number, (begin, fill, _) in enumerate(LONG_TEXTS):
        text = begin + fill * ((LONGEST - len(begin) - 2) // len(fill.encode())) + "'"
        text += "#" * (LONGEST - len(text.encode()))  # of the word, or of a comment
        assert len(text.encode()) == LONGEST
        execution = run(make_task(f"a{number}", task_exec=text, task_shell=shell))
        found.append((begin, execution.exit_code, fill * 1000 in log_of(execution)))

    assert found == [(begin, code, code == 0) for begin, _, code in LONG_TEXTS]


def test_commands_around_the_length_from_which_they_get_a_shell_of_their_own_start(
    run: Run, make_task: Any
) -> None:
    found, wanted = [], []

    for number, begin in enumerate(("echo ", "exec echo ", "-x || echo ", "+x || echo ")):
        for length in (4095, 4096, 4097):  # up to 4,096 a text may run in the shell that publishes
            text = begin + "y" * (length - len(begin))
            execution = run(make_task(f"a{number}-{length}", task_exec=text))
            found.append((text, execution.status, log_of(execution).splitlines()[-1:]))
            wanted.append((text, Status.SUCCESS, [text[len(begin) :]]))

    assert found == wanted


@pytest.mark.django_db
def test_command_that_no_process_can_be_given_is_refused_when_it_is_saved(make_task: Any) -> None:
    for text in ("echo \0", "echo \ud800"):
        with pytest.raises(ConfigError, match="task_exec"):
            validate_task({"task_id": "a", "task_name": "A", "task_exec": text})


# --- Python and shell -----------------------------------------------------------------------------


def test_python_of_the_task_comes_first_and_that_of_schedsite_otherwise(run: Run, make_task: Any) -> None:
    own = settings.SCHEDULER_TASKS_DIR / "a" / ".venv" / "bin" / "python"
    own.parent.mkdir(parents=True)
    own.write_text("#!/bin/sh\necho python of the task\n")
    own.chmod(0o755)
    command = "python -c 'import sys; print(sys.prefix)'; echo ${VIRTUAL_ENV-none}"

    ours = run(make_task("a", task_exec=command, task_python=".venv"))
    default = run(make_task("b", task_exec=command))

    assert log_of(ours) == f"python of the task\n{own.parent.parent}\n"
    assert log_of(default) == f"{sys.prefix}\nnone\n"


def test_python_that_is_missing_is_named(run: Run, make_task: Any) -> None:
    execution = run(make_task("a", task_python=".venv"))

    path = settings.SCHEDULER_TASKS_DIR.parent / ".venv"
    assert execution.reason == f"could not start: task_python is {path}, which does not exist"


def test_path_of_the_task_is_its_own(run: Run, make_task: Any) -> None:
    execution = run(make_task("a", task_exec="echo $PATH", task_env={"PATH": "/bin:/opt/x"}))

    assert log_of(execution) == "/bin:/opt/x\n"


def test_shell_of_the_task_runs_its_text(run: Run, make_task: Any) -> None:
    text = "a=(x y); echo ${a[1]}; echo quiet &>> log; [[ yes == y* ]] && exit 3"

    execution = run(make_task("a", task_exec=text, task_shell="/bin/bash"))

    assert (execution.status, execution.exit_code) == (Status.TECHNICAL_FAILURE, 3)
    assert log_of(execution) == "y\n"
    assert (settings.SCHEDULER_TASKS_DIR.parent / "log").read_text() == "quiet\n"


def test_shell_that_is_missing_is_named(run: Run, make_task: Any) -> None:
    execution = run(make_task("a", task_shell="/bin/gone"))

    assert execution.reason == "could not start: the shell /bin/gone does not exist or cannot be executed"


# --- a real worker --------------------------------------------------------------------------------


@pytest.mark.parametrize("began", ["worker", "start"])
def test_commands_have_the_variables_that_the_worker_was_started_with(
    transactional_db: None, make_task: Any, tmp_path: Path, began: str
) -> None:
    stack = Stack(
        tmp_path,
        TZ="Europe/Berlin",
        SCHEDULER_TIME_ZONE="Asia/Shanghai",
        LC_TIME="C",
        VIRTUAL_ENV=sys.prefix,
        PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        SECRET_OF_MINE="s3cret",
        PORT=str(free_port()),
    )
    command = "date -d @1767225600 +'%Z %H:%M'; env; command -v pip || true"
    try:
        stack.start(began)  # all of it together, as make run does, or the worker alone
        request_run(
            make_task("a", task_exec=command), trigger=Trigger.MANUAL, user=None, now=datetime.now(UTC)
        )
        wait_until(Execution.objects.exclude(finished_at=None).exists, what="the end")
    finally:
        stack.close()

    said = log_of(Execution.objects.get())
    assert said.splitlines()[0] == "CET 01:00"
    assert {"TZ=Europe/Berlin", "LC_TIME=C"} <= set(said.splitlines())
    assert sys.prefix not in said
    assert not {"SECRET_OF_MINE", "VIRTUAL_ENV", "SECRET_KEY", "DATABASE_URL"} & {
        line.partition("=")[0] for line in said.splitlines()
    }


# --- what a rename says ---------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_rename_says_what_becomes_of_the_folder_on_the_site_and_over_the_api(
    admin_client: Any, make_task: Any
) -> None:
    folder = settings.SCHEDULER_TASKS_DIR / "a"
    folder.mkdir()
    task = make_task("a")
    data = {**FORM, "task_id": "b", "name": "a"}

    page = admin_client.post(f"/admin/scheduler/task/{task.pk}/change/", data, follow=True)
    answer = admin_client.patch("/api/scheduler/tasks/b", {"task_desc": "x"}, content_type="application/json")
    explained = admin_client.get("/api/scheduler/tasks/b/explain")
    folder.rename(folder.with_name("b"))
    after = admin_client.get("/api/scheduler/tasks/b")

    missing = MISSING.format(folder=folder.with_name("b")).removeprefix("could not start: ")
    assert f"This task would not start: {missing}." in html.unescape(page.content.decode())
    assert answer.json()["folder_error"] == missing
    assert f"It would not start: {missing}." in explained.json()["now"]
    assert after.json()["folder_error"] == ""


@pytest.mark.django_db
def test_an_import_that_removes_a_task_says_that_its_folder_stays(make_task: Any) -> None:
    (settings.SCHEDULER_TASKS_DIR / "old").mkdir()
    make_task("old")
    new = {"task_id": "new", "task_name": "New", "task_exec": "true"}

    plan = plan_import(parse_config(json.dumps([new]), file="f"), prune=True, now=NOON)

    assert [str(note) for note in plan.notes] == ["old: its folder is kept"]
    assert (settings.SCHEDULER_TASKS_DIR / "old").is_dir()


@pytest.mark.parametrize("way", ["form", "api", "file"])
@pytest.mark.django_db
def test_longest_text_that_linux_starts_is_the_limit_of_a_command(
    way: str, admin_client: Any, make_task: Any
) -> None:
    allowed = (
        "must be text of 1 to 131071 bytes in UTF-8, not only spaces, but text of 131,072 bytes was found"
    )
    fits = "echo " + "é" * 65_533
    assert len(fits.encode()) == 131_071
    task = make_task("a")

    def save(text: str) -> str:
        if way == "form":
            data = {**FORM, "task_id": "a", "name": "a", "command": text}
            return html.unescape(
                admin_client.post(f"/admin/scheduler/task/{task.pk}/change/", data).content.decode()
            )
        fields = {"task_id": "a", "task_name": "a", "task_exec": text}
        if way == "api":
            return str(
                admin_client.put(
                    "/api/scheduler/tasks/a", json.dumps(fields), content_type="application/json"
                ).content.decode()
            )
        try:
            apply_import(parse_config(json.dumps(fields), file="f"), prune=False, user=None, now=NOON)
        except ConfigError as error:
            return str(error)
        return ""

    refused, taken = save(fits + "x"), save(fits)

    assert allowed in refused.replace("Command must", "task_exec must").replace("\\u201c", "")
    assert allowed not in taken
    assert Task.objects.get().command == fits


@pytest.mark.django_db
def test_page_of_a_task_says_how_its_command_runs_where_it_is_not_the_rule(
    admin_client: Any, make_task: Any
) -> None:
    usual = make_task("a")
    other = make_task("b", task_shell="/bin/bash", task_python=".venv", task_encoding="gb18030")

    pages = [
        admin_client.get(f"/admin/scheduler/task/{task.pk}/").content.decode() for task in (usual, other)
    ]

    assert [[word in page for word in ("/bin/bash", ".venv", "gb18030")] for page in pages] == [
        [False] * 3,
        [True] * 3,
    ]
