"""Dependencies as clients and people at a terminal see them: runs, graphs, explanations, refusals."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command

from scheduler.choices import Status
from scheduler.models import Execution, Run, Task, TaskDependency
from tests.api_client import TokenClient
from tests.simulation import B, Engine, F, S, diamond


def names(execution_ids: list[int]) -> list[str]:
    return sorted(Execution.objects.filter(pk__in=execution_ids).values_list("task__task_id", flat=True))


# --- runs -----------------------------------------------------------------------------------------


def test_a_run_shows_its_tasks_what_became_of_them_and_what_they_wait_for(
    engine: Engine,
    editor: TokenClient,
) -> None:
    diamond(engine)
    engine.task("z")
    engine.task("e", "b", "z")
    first = engine.start("a")
    engine.end(a=S)
    engine.end(b=S)

    answer = editor.get(f"runs/{first.run_id}").json()

    assert (answer["status"], answer["task_id"], answer["trigger"]) == ("running", "a", "manual")
    found = {
        node["task_id"]: (node["execution"] and node["execution"]["status"], node["reason"])
        for node in answer["nodes"]
    }
    c = engine.latest("c").pk
    assert found == {
        "a": ("success", ""),
        "b": ("success", ""),
        "c": ("running", ""),
        "d": (None, f"waits for c: running, execution {c}"),
        "e": (None, "waits for z: no success yet"),
    }
    assert {"upstream": "b", "downstream": "d"} in answer["edges"]
    assert len(answer["edges"]) == 5


def test_runs_are_listed_newest_first_by_cursor_and_by_status(
    engine: Engine,
    editor: TokenClient,
) -> None:
    engine.task("a", task_concurrency="allow")
    engine.task("other")
    started = []
    for status in (S, F, B, S):
        started.append(engine.start("a").run_id)
        engine.end(a=status)
    engine.start("other")

    page = editor.get("runs?task_id=a&page_size=3").json()
    rest = editor.client.get(page["next"], headers=editor.headers).json()
    back = editor.client.get(rest["previous"], headers=editor.headers).json()

    assert [run["run_id"] for run in page["results"] + rest["results"]] == started[::-1]
    assert back["results"] == page["results"]
    failed = editor.get("runs?run_status=failed").json()["results"]
    assert [run["run_id"] for run in failed] == [started[2], started[1]]
    assert [run["task_id"] for run in editor.get("runs?run_status=running").json()["results"]] == ["other"]
    refused = editor.get("runs?run_status=odd")
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["allowed"] == "one of running, success, failed, cancelled"


def test_a_list_of_runs_costs_the_same_however_long_it_is(
    engine: Engine,
    editor: TokenClient,
    django_assert_num_queries: Any,
) -> None:
    engine.task("a", task_concurrency="allow")
    for _ in range(3):
        engine.start("a")
    editor.get("runs")
    with django_assert_num_queries(5):
        editor.get("runs?page_size=2")
    with django_assert_num_queries(5):
        editor.get("runs?page_size=3")


def test_a_run_is_cancelled_whole_and_only_once(engine: Engine, editor: TokenClient) -> None:
    diamond(engine)
    run = engine.start("a").run_id

    first = editor.post(f"runs/{run}/cancel")
    second = editor.post(f"runs/{run}/cancel")

    assert (first.status_code, first.json()["status"]) == (202, "cancelled")
    assert first.json()["cancel_reason"] == "run cancelled by a-editor"
    assert (second.status_code, second.json()["detail"]) == (409, f"Run {run} has already ended.")
    assert (second.json()["code"], second.json()["params"]) == ("run_has_ended", {"run": run})
    assert editor.get("runs/999999").status_code == 404


def test_execute_with_and_without_what_is_downstream(engine: Engine, editor: TokenClient) -> None:
    diamond(engine)

    alone = editor.post("tasks/a/execute", {"downstream": False}).json()
    engine.end(a=S)
    whole = editor.post("tasks/a/execute").json()
    engine.end(a=S)

    assert Execution.objects.filter(run=alone["run_id"]).count() == 1
    assert Execution.objects.filter(run=whole["run_id"]).count() == 3


def test_resume_answers_with_the_new_execution_or_says_why_not(
    engine: Engine,
    editor: TokenClient,
) -> None:
    diamond(engine)
    execution = engine.start("a")
    engine.end(a=F)

    answer = editor.post(f"executions/{execution.pk}/resume")
    again = editor.post(f"executions/{execution.pk}/resume")

    assert answer.status_code == 202
    assert answer.json()["run_id"] == execution.run_id
    assert Execution.objects.get(pk=answer.json()["execution_id"]).trigger == "api"
    assert again.status_code == 409
    assert again.json()["detail"] == (
        f"Execution {answer.json()['execution_id']} of the same run is “Queued”; wait until it ends."
    )


@pytest.mark.parametrize("path", ["runs/1/cancel", "executions/1/resume"])
def test_a_viewer_may_neither_cancel_nor_resume(as_role: Any, path: str) -> None:
    assert as_role("Viewer").post(path).status_code == 403


def test_an_execution_names_its_upstream_executions(engine: Engine, editor: TokenClient) -> None:
    diamond(engine)
    engine.start("a")
    engine.end(a=S)
    engine.end(b=S, c=S)

    found = editor.get(f"executions/{engine.latest('d').pk}").json()

    assert names(found["upstream_executions"]) == ["b", "c"]


# --- the graph ------------------------------------------------------------------------------------


def test_the_graph_of_a_task_is_all_above_and_below_it(engine: Engine, editor: TokenClient) -> None:
    diamond(engine)
    engine.task("z")
    engine.task("y", "z")
    engine.start("a", downstream=False)
    engine.end(a=B)

    around = editor.get("tasks/b/graph").json()
    whole = editor.get("graph").json()

    assert [node["task_id"] for node in around["nodes"]] == ["a", "b", "d"]
    assert around["nodes"][0]["status"] == "business_failure"
    assert around["edges"] == [{"upstream": "a", "downstream": "b"}, {"upstream": "b", "downstream": "d"}]
    assert [node["task_id"] for node in whole["nodes"]] == ["a", "b", "c", "d", "y", "z"]
    assert len(whole["edges"]) == 5


# --- explanations ---------------------------------------------------------------------------------


def told(editor: TokenClient, task_id: str) -> list[str]:
    sentences: list[str] = editor.get(f"tasks/{task_id}/explain").json()["sentences"]
    return sentences


def test_a_task_that_never_ran_says_what_would_start_it(engine: Engine, editor: TokenClient) -> None:
    engine.task("a")
    engine.task("b", task_schedule="0 2 * * *")
    engine.task("c", "a", task_enabled=False)

    assert told(editor, "a") == ["It never ran.", "It only runs when started by hand or through the API."]
    assert told(editor, "b") == ["It never ran.", "Its next slot is 2026-06-02 02:00:00 UTC."]
    assert told(editor, "c") == [
        "It never ran.",
        "Paused: its schedule is ignored and runs skip it.",
        "It waits for a: no success yet.",
        "It only runs when started by hand or through the API.",
    ]


def test_a_task_says_why_it_ran_and_which_success_is_used_up(engine: Engine, editor: TokenClient) -> None:
    engine.task("a")
    engine.task("b")
    engine.task("c", "a", "b")
    for name in "ab":
        engine.start(name)
        engine.end(**{name: S})
    engine.end(c=B)
    a, b, c = (engine.latest(name) for name in "abc")
    engine.start("a")
    engine.end(a=S)

    body = editor.get("tasks/c/explain").json()

    assert body["last"][0].startswith(
        f"Execution {c.pk} (attempt 1) ended as “Business failure” at 2026-06-01"
    )
    assert body["last"][1] == (
        f"It ran in run {c.run_id} because of its upstreams: a (execution {a.pk}), b (execution {b.pk})."
    )
    assert body["now"][0].startswith("a succeeded at 2026-06-01 12:00:")
    assert body["now"][1].endswith(f"already used by execution {c.pk}.")
    assert body["upcoming"] == ["It runs when its upstreams allow it, by hand or through the API."]
    assert [(up["task_id"], up["is_fresh"], up["used_by"]) for up in body["upstreams"]] == [
        ("a", True, None),
        ("b", False, c.pk),
    ]


def test_tasks_for_clean_up_and_escalation_say_when_they_start(engine: Engine, editor: TokenClient) -> None:
    engine.task("a")
    engine.task("b")
    engine.task("clean", "a", "b", task_trigger_rule="all_done")
    engine.task("alarm", "a", "b", task_trigger_rule="any_failed")

    assert told(editor, "clean") == [
        "It never ran.",
        "It starts in a run once its upstreams have ended, whatever their outcomes: a, b.",
        "Upstreams outside the run must have succeeded since this task last started.",
        "It runs when its upstreams allow it, by hand or through the API.",
    ]
    assert told(editor, "alarm")[1] == ("It starts in a run as soon as one of its upstreams fails: a, b.")


def test_a_waiting_task_names_the_run_and_what_it_waits_for(engine: Engine, editor: TokenClient) -> None:
    diamond(engine)
    run = engine.start("a").run_id
    engine.end(a=S)
    engine.end(b=S)

    assert f"In run {run} it waits for c: running, execution {engine.latest('c').pk}." in told(editor, "d")


def test_a_waiting_task_is_explained_however_many_other_runs_go_on(
    engine: Engine, editor: TokenClient, django_assert_max_num_queries: Any
) -> None:
    diamond(engine)
    run = engine.start("a").run_id
    engine.end(a=S)
    engine.end(b=S)
    engine.task("x", task_concurrency="allow")
    engine.task("y", "x")
    for _ in range(30):
        engine.start("x")

    with django_assert_max_num_queries(40):
        sentences = told(editor, "d")

    assert f"In run {run} it waits for c: running, execution {engine.latest('c').pk}." in sentences


def test_a_skipped_task_says_why_and_what_it_did_before(engine: Engine, editor: TokenClient) -> None:
    engine.task("a")
    engine.task("b", "a")
    engine.start("a")
    engine.end(a=S)
    engine.end(b=S)
    ran = engine.latest("b")
    failed = engine.start("a")
    engine.end(a=F)

    sentences = told(editor, "b")

    assert f"upstream a ended in technical failure, execution {failed.pk}." in sentences[0]
    assert sentences[1].startswith(f"Execution {ran.pk} (attempt 1) ended as “Success”")


def test_a_deleted_upstream_is_told_to_its_downstream(
    engine: Engine, editor: TokenClient, as_role: Any
) -> None:
    engine.task("a")
    engine.task("b", "a")
    engine.task("c", "a")

    refused = editor.call("DELETE", "tasks/a")
    assert refused.status_code == 409
    assert refused.json()["detail"] == (
        "Tasks depend on “a”: b, c. They would lose this dependency; add ?confirm=true to delete it all the same."
    )
    assert Task.objects.filter(task_id="a").exists()

    assert editor.call("DELETE", "tasks/a?confirm=true").status_code == 204
    assert any(s.startswith("It no longer depends on a, which was deleted at ") for s in told(editor, "b"))
    assert TaskDependency.objects.count() == 0


def test_explain_at_a_terminal(engine: Engine) -> None:
    engine.task("a")
    out = StringIO()

    call_command("explain", "a", stdout=out)

    assert out.getvalue() == "It never ran.\nIt only runs when started by hand or through the API.\n"
    with pytest.raises(CommandError, match='there is no task "nobody"'):
        call_command("explain", "nobody")


# --- refusals -------------------------------------------------------------------------------------


def test_a_cycle_is_refused_with_its_path_wherever_it_is_tried(
    engine: Engine,
    editor: TokenClient,
    tmp_path: Any,
) -> None:
    engine.task("a")
    engine.task("b", "a")
    engine.task("c", "b")
    before = list(TaskDependency.objects.values_list("upstream", "downstream"))

    by_api = editor.call("PATCH", "tasks/a", {"task_dependencies": ["c"]})
    assert by_api.status_code == 400
    (error,) = by_api.json()["errors"]
    assert error["path"] == "task_dependencies"
    assert error["message"] == "the dependencies would form a cycle: a → b → c → a"

    a, c = Task.objects.get(task_id="a"), Task.objects.get(task_id="c")
    with pytest.raises(ValidationError) as caught:
        TaskDependency(upstream=c, downstream=a).full_clean()
    assert "This dependency would form a cycle: a → b → c → a" in caught.value.messages

    path = tmp_path / "config.json"
    path.write_text(
        '{"tasks": [{"task_id": "a", "task_name": "a", "task_exec": "true", "task_dependencies": ["c"]}]}'
    )
    err = StringIO()
    with pytest.raises((CommandError, SystemExit)):
        call_command("import_config", str(path), stderr=err, stdout=err)
    assert list(TaskDependency.objects.values_list("upstream", "downstream")) == before


@pytest.mark.parametrize(
    ("dependencies", "message"),
    [
        (["nobody"], 'upstream "nobody" does not exist'),
        (["a"], "the dependencies would form a cycle: a → a"),
        (["b", "b"], 'task_dependencies[1] must not repeat "b", which is in the list already'),
    ],
)
def test_a_bad_edge_is_refused_and_nothing_is_stored(
    engine: Engine,
    editor: TokenClient,
    dependencies: list[str],
    message: str,
) -> None:
    engine.task("a")
    engine.task("b")

    answer = editor.call("PATCH", "tasks/a", {"task_dependencies": dependencies})

    assert answer.status_code == 400
    assert [error["message"] for error in answer.json()["errors"]] == [message]
    assert TaskDependency.objects.count() == 0


def test_a_rename_keeps_edges_and_cannot_hide_a_cycle(engine: Engine, editor: TokenClient) -> None:
    engine.task("a")
    engine.task("b", "a")

    assert editor.call("PATCH", "tasks/a", {"task_id": "c"}).status_code == 200
    assert editor.get("tasks/b").json()["task_dependencies"] == ["c"]
    refused = editor.call("PATCH", "tasks/c", {"task_id": "d", "task_dependencies": ["b"]})
    assert refused.json()["errors"][0]["message"] == "the dependencies would form a cycle: d → b → d"


def test_the_id_of_a_deleted_task_is_not_given_to_another(engine: Engine, editor: TokenClient) -> None:
    engine.task("old")
    engine.task("a")
    assert editor.call("DELETE", "tasks/old").status_code == 204

    refused = editor.call("PATCH", "tasks/a", {"task_id": "old"})

    assert refused.status_code == 400
    assert refused.json()["errors"][0]["message"] == (
        'the task id "old" belongs to the history of a deleted task'
    )
    engine.task("old")
    assert editor.get("tasks/old").status_code == 200


def test_a_status_of_a_run_is_derived(engine: Engine) -> None:
    engine.task("a", task_concurrency="allow")
    run = engine.start("a").run
    assert run is not None
    found = Run.objects.with_status().get(pk=run.pk)
    assert found.status == Status.RUNNING.value  # type: ignore[attr-defined]
