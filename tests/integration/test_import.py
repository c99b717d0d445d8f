"""config.json in and out by the management commands."""

from __future__ import annotations

import io
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from scheduler.config_file import ConfigError, parse_config
from scheduler.config_file.source import Source
from scheduler.models import Task, TaskDependency, TaskRevision

pytestmark = pytest.mark.django_db
SAMPLE = Path(__file__).resolve().parents[2] / "tasks" / "config.json"


def run(*arguments: str) -> tuple[int, str, str]:
    """Run import_config and return its exit code and what it wrote."""
    out, err = StringIO(), StringIO()
    code = 0
    try:
        call_command("import_config", *arguments, stdout=out, stderr=err)
    except SystemExit as end:
        code = int(end.code or 0)
    return code, out.getvalue(), err.getvalue()


def write(path: Path, *tasks: dict[str, Any]) -> str:
    file = path / "config.json"
    file.write_text(json.dumps({"tasks": list(tasks)}, indent=1), encoding="utf-8")
    return str(file)


def task(task_id: str, **fields: Any) -> dict[str, Any]:
    return {"task_id": task_id, "task_name": task_id, "task_exec": "true", **fields}


def test_the_sample_imports_and_importing_it_again_changes_nothing() -> None:
    assert run(str(SAMPLE))[0] == 0

    code, out, _ = run(str(SAMPLE), "--check")

    assert (code, out.strip()) == (0, "0 created, 0 changed, 11 unchanged, 0 removed")


def test_a_path_that_cannot_be_looked_at_is_refused_in_a_sentence() -> None:
    code, _, err = run("/tmp/" + "x" * 300)

    assert code == 1
    assert "the file must be readable, but is not: File name too long" in err


def test_an_export_to_a_full_disk_says_so() -> None:
    run(str(SAMPLE))

    with (
        open("/dev/full", "w", encoding="utf-8") as full,  # noqa: PTH123
        pytest.raises(CommandError, match="standard output cannot be written: No space left on device"),
    ):
        call_command("export_config", stdout=full)


def test_a_plan_that_cannot_be_printed_is_not_carried_out(tmp_path: Path) -> None:
    path = write(tmp_path, task("a"))

    with (
        open("/dev/full", "w", encoding="utf-8") as full,  # noqa: PTH123
        pytest.raises(CommandError, match="standard output cannot be written: No space left on device"),
    ):
        call_command("import_config", path, stdout=full)

    assert not Task.objects.exists()


def test_an_output_without_chinese_shows_a_plan_all_the_same(tmp_path: Path) -> None:
    output = io.TextIOWrapper(io.BytesIO(), encoding="ascii")

    call_command("import_config", write(tmp_path, {**task("a"), "task_name": "任务"}), stdout=output)
    call_command("import_config", write(tmp_path, {**task("a"), "task_name": "备份"}), stdout=output)

    output.seek(0)
    assert r'task_name: "\u4efb\u52a1" \u2192 "\u5907\u4efd"' in output.read()
    assert Task.objects.get().name == "备份"


def test_a_plan_says_what_a_step_wider_than_its_field_means(tmp_path: Path) -> None:
    wide = {**task("wide"), "task_schedule": "*/90 * * * *"}

    _code, out, _err = run(write(tmp_path, wide))

    assert 'note: wide: the step "*/90" is wider than the minute field' in out


def test_an_empty_path_is_refused() -> None:
    with pytest.raises(CommandError, match="the path is empty; a file or folder is needed"):
        call_command("import_config", "", "--prune")


def test_a_file_of_a_folder_that_cannot_be_read_removes_no_task(tmp_path: Path) -> None:
    for name in ("one", "two", ".hidden"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, task(name.strip(".")))
    assert run(str(tmp_path))[0] == 0
    assert set(Task.objects.values_list("task_id", flat=True)) == {"one", "two"}
    (tmp_path / "two" / "config.json").unlink()
    (tmp_path / "two" / "config.json").symlink_to("/nowhere/config.json")

    code, _out, err = run(str(tmp_path), "--prune")

    assert code == 1
    assert "two/config.json: the file must be readable, but is not: No such file or directory" in err
    assert Task.objects.count() == 2


def test_new_tasks_are_written_once(tmp_path: Path) -> None:
    path = write(tmp_path, *(task(f"t{number}") for number in range(300)))

    with CaptureQueriesContext(connection) as captured:
        run(path)

    written = [query["sql"] for query in captured if query["sql"].startswith('UPDATE "scheduler_task"')]
    assert len(written) == 1 and '"revision_id"' in written[0]


@pytest.mark.parametrize("command", ["run_task", "explain"])
def test_an_argument_that_is_no_text_is_refused_in_a_sentence(command: str) -> None:
    with pytest.raises(CommandError, match=r"'\\udcff' is not valid UTF-8"):
        call_command(command, "\udcff")


def test_an_export_imports_as_unchanged(tmp_path: Path) -> None:
    run(str(SAMPLE))
    call_command("export_config", str(tmp_path / "out.json"))

    code, out, _ = run(str(tmp_path / "out.json"), "--check", "--prune")

    assert (code, out.strip()) == (0, "0 created, 0 changed, 11 unchanged, 0 removed")
    before = (tmp_path / "out.json").read_bytes()
    call_command("export_config", str(tmp_path / "out.json"))
    assert (tmp_path / "out.json").read_bytes() == before


def test_check_exits_with_two_and_writes_nothing(tmp_path: Path) -> None:
    code, out, _ = run(write(tmp_path, task("a")), "--check")

    assert code == 2
    assert "+ a" in out
    assert not Task.objects.exists()


def test_the_plan_shows_fields_and_next_runs_before_and_after(tmp_path: Path) -> None:
    run(write(tmp_path, task("a", task_schedule="0 3 * * *")))

    code, out, _ = run(write(tmp_path, task("a", task_schedule="0 4 * * *")), "--dry-run")

    assert code == 0
    assert '    task_schedule: "0 3 * * *" → "0 4 * * *"' in out
    assert "next runs before: " in out and "03:00:00 UTC" in out
    assert "next runs after: " in out and "04:00:00 UTC" in out
    assert Task.objects.get().schedule == "0 3 * * *"


def test_prune_removes_what_the_file_does_not_name_and_only_then(tmp_path: Path) -> None:
    run(write(tmp_path, task("a"), task("b")))

    run(write(tmp_path, task("a")))
    assert Task.objects.count() == 2
    _, out, _ = run(write(tmp_path, task("a")), "--prune")

    assert "- b" in out
    assert [t.task_id for t in Task.objects.all()] == ["a"]


def test_a_removed_task_that_comes_back_keeps_its_history(tmp_path: Path) -> None:
    run(write(tmp_path, task("a"), task("b")))
    pk = Task.objects.get(task_id="b").pk
    run(write(tmp_path, task("a")), "--prune")

    run(write(tmp_path, task("a"), task("b")))

    assert Task.objects.get(task_id="b").pk == pk
    assert TaskRevision.objects.filter(task=pk).count() == 2


def test_dependencies_are_stored_as_edges(tmp_path: Path) -> None:
    run(write(tmp_path, task("a"), task("b", task_dependencies=["a"])))

    edge = TaskDependency.objects.get()
    assert (edge.upstream.task_id, edge.downstream.task_id) == ("a", "b")


def test_a_cycle_is_refused_with_its_path_and_place(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        task("a", task_dependencies=["c"]),
        task("b", task_dependencies=["a"]),
        task("c", task_dependencies=["b"]),
    )

    code, _, err = run(file)

    assert code == 1
    assert "tasks[0].task_dependencies: the dependencies would form a cycle: " in err
    assert " → ".join(["a", "b", "c", "a"]) in err
    assert not Task.objects.exists()


def test_an_unknown_upstream_is_refused_with_the_nearest_id(tmp_path: Path) -> None:
    code, _, err = run(write(tmp_path, task("backup"), task("b", task_dependencies=["bakup"])))

    assert code == 1
    assert 'tasks[1].task_dependencies[0]: upstream "bakup" does not exist; did you mean "backup"?' in err
    assert not Task.objects.exists()


def test_unknown_upstreams_and_cycles_are_told_together_with_all_else_in_order(tmp_path: Path) -> None:
    broken = [
        task("a", task_retry=-1, task_dependencies=["b", "nobody"]),
        task("b", task_dependencies=["a", {"id": "a"}]),
        {"task_name": "no id", "task_exec": "true", "task_dependencies": ["nobody-either", "no id"]},
    ]

    code, _, err = run(write(tmp_path, *broken))

    places = [line.split(": ")[1] for line in err.splitlines() if ": tasks" in line]
    assert code == 1
    assert places == [
        "tasks[0].task_retry",
        "tasks[0].task_dependencies",  # a → b → a
        "tasks[0].task_dependencies[1]",
        "tasks[1].task_dependencies[1]",
        "tasks[2].task_id",
        "tasks[2].task_dependencies[0]",
        "tasks[2].task_dependencies[1]",
    ]
    assert "a → b → a" in err
    assert not Task.objects.exists()


def test_errors_come_as_json_when_asked_for(tmp_path: Path) -> None:
    code, out, _ = run(write(tmp_path, task("a", task_retry=-1)), "--json")

    error = json.loads(out)["errors"][0]
    assert code == 1
    assert (error["path"], error["line"], error["found"]) == ("tasks[0].task_retry", 7, "-1")


@pytest.mark.parametrize("days", ["0", "-5", "99999999999"])
def test_no_number_of_days_deletes_all_of_history(make_task: Any, days: str) -> None:
    with pytest.raises(CommandError, match=f"--days is {days}; a whole number from 1 to 36500 is allowed"):
        call_command("prune_history", f"--days={days}")


def test_an_export_keeps_links_and_modes_and_lets_nobody_else_read_a_new_file(
    make_task: Any, tmp_path: Path
) -> None:
    make_task("a")
    real, link, shared = tmp_path / "real.json", tmp_path / "link.json", tmp_path / "shared.json"
    link.symlink_to(real)
    shared.write_text("old")
    shared.chmod(0o640)

    for path in (link, shared):
        call_command("export_config", str(path))

    assert link.is_symlink() and '"task_id": "a"' in real.read_text()
    assert (real.stat().st_mode & 0o777, shared.stat().st_mode & 0o777) == (0o600, 0o640)


def test_an_export_replaces_no_device(make_task: Any) -> None:
    with pytest.raises(CommandError, match="/dev/null cannot be written: it is not a regular file"):
        call_command("export_config", "/dev/null")


def test_unknown_upstreams_of_many_tasks_are_located_in_one_walk(db: None, monkeypatch: Any) -> None:
    walks: list[int] = []
    locate = Source.locate

    def counted(source: Source, paths: Any) -> Any:
        walks.append(1)
        return locate(source, paths)

    monkeypatch.setattr(Source, "locate", counted)
    tasks = [
        {"task_id": f"u{n}", "task_name": "n", "task_exec": "true", "task_dependencies": ["missing"]}
        for n in range(300)
    ]

    with pytest.raises(ConfigError) as refused:
        parse_config(json.dumps({"tasks": tasks}), file="config.json", known=())

    assert len(refused.value.problems) == 300 and len(walks) <= 3
