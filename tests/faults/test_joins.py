"""Two processes at the same instant: two upstreams that end, and two edits that would make a cycle together."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from io import StringIO
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from tempfile import NamedTemporaryFile
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, connections
from django.test import Client
from django.urls import reverse

from scheduler.choices import Status, Trigger
from scheduler.config_file import ConfigError
from scheduler.models import Execution, Run, Task, TaskDependency
from scheduler.services import runs
from scheduler.services.outcomes import Report, finish
from scheduler.services.tasks import delete_task, save_task
from scheduler.task_mapping import task_to_spec
from tests.conftest import NOON
from tests.simulation import Engine, diamond
from tests.support.pages import FORM

ROUNDS = 40  # of what goes wrong, if it does, almost each time
PATIENCE = 60  # seconds; a process that needs longer hangs

pytestmark = pytest.mark.django_db(transaction=True)


class Pair:
    """Two processes that do something at the same instant."""

    def __init__(self, act: Callable[[Any], Any]) -> None:
        context = multiprocessing.get_context("fork")
        barrier = context.Barrier(2)
        self.pipes = []
        self.processes = []
        for _ in range(2):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, barrier, act), daemon=True)
            process.start()
            self.pipes.append(ours)
            self.processes.append(process)

    def at_once(self, first: Any, second: Any) -> list[Any]:
        """Let each process act on its argument at the same instant; return what they answer."""
        for pipe, argument in zip(self.pipes, (first, second), strict=True):
            pipe.send(argument)
        assert all(pipe.poll(PATIENCE) for pipe in self.pipes), "a process hangs"
        return [pipe.recv() for pipe in self.pipes]


def _serve(pipe: Connection, barrier: Barrier, act: Callable[[Any], Any]) -> None:
    while True:
        argument = pipe.recv()
        barrier.wait(PATIENCE)
        try:
            pipe.send(act(argument))
        except Exception as error:
            pipe.send(repr(error))


@contextmanager
def pair_of(act: Callable[[Any], Any]) -> Iterator[Pair]:
    connections.close_all()  # a connection must not be shared with a child
    pair = Pair(act)
    try:
        yield pair
    finally:
        for process in pair.processes:
            process.kill()
            process.join()


def end_as_success(claimed_at: tuple[Any, datetime]) -> str:
    claimed, at = claimed_at
    finish([Report(claimed, Status.SUCCESS, at)], now=at)
    return "done"


@pytest.mark.proves("G10")
@pytest.mark.parametrize("rounds", [50, pytest.param(500, marks=pytest.mark.campaign)])
def test_two_upstreams_that_end_at_the_same_instant_start_the_join_once(make_task: Any, rounds: int) -> None:
    engine = Engine(make_task)
    for name, upstreams in {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}.items():
        engine.task(name, *upstreams, task_concurrency="allow")

    with pair_of(end_as_success) as pair:
        for _ in range(rounds):
            engine.start("a")
            engine.end(a=Status.SUCCESS)
            engine.claim()
            at = engine.clock.tick()
            answers = pair.at_once((engine.claimed.pop("b"), at), (engine.claimed.pop("c"), at))
            assert answers == ["done", "done"]
            engine.end(d=Status.SUCCESS)

    joins = Execution.objects.filter(task__task_id="d")
    assert (joins.count(), joins.values("run").distinct().count()) == (rounds, rounds)
    assert not Execution.objects.active().exists()


def change(task_id: str, upstreams: list[str]) -> None:
    task = Task.objects.get(task_id=task_id)
    spec = task_to_spec(task)
    spec["task_dependencies"] = upstreams
    save_task(spec, task=task, user=None, now=NOON)


def depend(edge: tuple[str, str]) -> str:
    downstream, upstream = edge
    try:
        change(downstream, [upstream])
    except ConfigError as error:
        return error.problems[0].message
    return "stored"


def test_two_edits_at_the_same_instant_make_no_cycle_together(make_task: Any) -> None:
    make_task("a")
    make_task("b")
    rounds = 200 if connection.vendor == "postgresql" else 50

    with pair_of(depend) as pair:
        for _ in range(rounds):
            answers = pair.at_once(("a", "b"), ("b", "a"))
            assert answers.count("stored") == 1, answers
            refused = next(answer for answer in answers if answer != "stored")
            assert refused.startswith("the dependencies would form a cycle: ")
            assert TaskDependency.objects.count() == 1
            TaskDependency.objects.all().delete()


def by_api(downstream: str, upstream: str, **more: str) -> bool:
    client = Client()
    client.force_login(User.objects.get())
    body = json.dumps({"task_dependencies": [upstream], **more})
    answer = client.patch(f"/api/scheduler/tasks/{downstream}", body, content_type="application/json")
    assert answer.status_code in (200, 400), answer.content
    return bool(answer.status_code == 200)


def by_rename(downstream: str, upstream: str) -> bool:
    return by_api(downstream, upstream, task_id=f"{downstream}2")


def by_form(downstream: str, upstream: str) -> bool:
    client = Client()
    client.force_login(User.objects.get())
    # As on a form that was opened before the race: the other side may have renamed the task meanwhile.
    ids = {name.removesuffix("2"): pk for name, pk in Task.objects.values_list("task_id", "pk")}
    url = reverse("admin:scheduler_task_change", args=[ids[downstream]])
    answer = client.post(url, {**FORM, "task_id": downstream, "depends_on": [ids[upstream]]})
    assert answer.status_code in (200, 302), answer.content
    return bool(answer.status_code == 302)


def by_import(downstream: str, upstream: str) -> bool:
    task = {
        "task_id": downstream,
        "task_name": downstream,
        "task_exec": "true",
        "task_dependencies": [upstream],
    }
    with NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"tasks": [task]}, file)
        file.flush()
        try:
            call_command("import_config", file.name, stdout=StringIO(), stderr=StringIO())
        except SystemExit:
            return False
    return True


def edit(what: tuple[Callable[[str, str], bool], str, str]) -> str:
    way, downstream, upstream = what
    return "stored" if way(downstream, upstream) else "refused"


@pytest.mark.proves("G12")
@pytest.mark.parametrize(
    ("first", "second"), [(by_import, by_api), (by_form, by_import), (by_form, by_api), (by_rename, by_form)]
)
def test_no_two_ways_to_edit_make_a_cycle_together(make_task: Any, first: Any, second: Any) -> None:
    User.objects.create_superuser("admin")
    tasks = [make_task("a"), make_task("b")]

    with pair_of(edit) as pair:
        for _ in range(10):
            answers = pair.at_once((first, "a", "b"), (second, "b", "a"))
            assert sorted(answers) == ["refused", "stored"]
            assert TaskDependency.objects.count() == 1
            TaskDependency.objects.all().delete()
            Task.objects.filter(pk=tasks[0].pk).update(task_id="a")


def test_two_parents_of_different_runs_that_end_at_the_same_instant_start_the_child_once(
    make_task: Any,
) -> None:
    engine = Engine(make_task)
    engine.task("a")
    engine.task("b")
    engine.task("c", "a", "b")

    with pair_of(end_as_success) as pair:
        for number in range(1, ROUNDS + 1):
            engine.start("a")
            engine.start("b")
            engine.claim()
            at = engine.clock.tick()
            pair.at_once((engine.claimed.pop("a"), at), (engine.claimed.pop("b"), at))
            assert Execution.objects.filter(task__task_id="c").count() == number
            engine.end(c=Status.SUCCESS)


# --- a person and a worker at the same instant ----------------------------------------------------


def call(what: tuple[Callable[..., Any], tuple[Any, ...]]) -> str:
    function, arguments = what
    function(*arguments)
    return "done"


def cancel_run(run_pk: int, at: datetime) -> None:
    runs.cancel_run(Run.objects.get(pk=run_pk), by="ann", now=at)


def run_by_hand(task_id: str, at: datetime) -> None:
    runs.request_run(Task.objects.get(task_id=task_id), trigger=Trigger.MANUAL, user=None, now=at)


def resume(execution_pk: int, at: datetime) -> None:
    runs.resume(Execution.objects.get(pk=execution_pk), trigger=Trigger.MANUAL, now=at)


def delete(task_id: str, at: datetime) -> None:
    delete_task(Task.objects.get(task_id=task_id), user=None, now=at)


def keep_from_worker(task_id: str) -> None:
    Execution.objects.filter(task__task_id=task_id, status=Status.QUEUED).update(queue="elsewhere")


def test_a_run_is_cancelled_while_a_task_of_it_ends(make_task: Any) -> None:
    engine = Engine(make_task)
    diamond(engine)

    with pair_of(call) as pair:
        for _ in range(ROUNDS):
            run = engine.start("a").run
            assert run is not None
            engine.end(a=Status.SUCCESS)
            keep_from_worker("c")
            engine.claim()
            at = engine.clock.tick()
            ending = (end_as_success, ((engine.claimed.pop("b"), at),))
            assert pair.at_once(ending, (cancel_run, (run.pk, at))) == ["done", "done"]
            run.refresh_from_db()
            assert run.finished_at is not None
            assert engine.latest("d").status == Status.SKIPPED
            assert not Execution.objects.active().exists()


def chain(engine: Engine, **of_b: Any) -> None:
    """Store a → b → c; c comes first in the table, so that locks taken one after the other would cross."""
    engine.task("c")
    engine.task("a", task_concurrency="allow")
    engine.task("b", "a", **of_b)
    change("c", ["b"])


def test_a_waiting_execution_is_replaced_by_hand_while_its_upstream_ends(make_task: Any) -> None:
    engine = Engine(make_task)
    chain(engine, task_concurrency="replace")

    with pair_of(call) as pair:
        for _ in range(ROUNDS):
            engine.start("a")
            engine.end(a=Status.SUCCESS)
            keep_from_worker("b")
            engine.start("a")
            engine.claim()
            at = engine.clock.tick()
            ending = (end_as_success, ((engine.claimed.pop("a"), at),))
            assert pair.at_once(ending, (run_by_hand, ("b", at))) == ["done", "done"]
            engine.end(b=Status.SUCCESS)
            engine.end(c=Status.SUCCESS)
            assert not Execution.objects.active().exists()
            assert not Run.objects.open().exists()


def test_a_failed_task_is_resumed_while_the_other_upstream_ends(make_task: Any) -> None:
    engine = Engine(make_task)
    diamond(engine)

    with pair_of(call) as pair:
        for number in range(1, ROUNDS + 1):
            engine.start("a")
            engine.end(a=Status.SUCCESS)
            engine.end(b=Status.TECHNICAL_FAILURE)
            at = engine.clock.tick()
            ending = (end_as_success, ((engine.claimed.pop("c"), at),))
            assert pair.at_once(ending, (resume, (engine.latest("b").pk, at))) == ["done", "done"]
            engine.end(b=Status.SUCCESS)
            engine.end(d=Status.SUCCESS)
            outcomes = Execution.objects.filter(task__task_id="d", is_outcome=True)
            assert (outcomes.count(), outcomes.filter(status=Status.SUCCESS).count()) == (number, number)
            assert not Run.objects.open().exists()


def test_a_waiting_task_is_deleted_while_its_upstream_ends(make_task: Any) -> None:
    engine = Engine(make_task)
    chain(engine, task_concurrency="queue")

    with pair_of(call) as pair:
        for _ in range(ROUNDS):
            engine.start("a")
            engine.end(a=Status.SUCCESS)
            keep_from_worker("b")
            engine.start("a")
            engine.claim()
            at = engine.clock.tick()
            ending = (end_as_success, ((engine.claimed.pop("a"), at),))
            assert pair.at_once(ending, (delete, ("b", at))) == ["done", "done"]
            assert not Execution.objects.active().exists()
            assert not Run.objects.open().exists()
            engine.task("b", "a", task_concurrency="queue")
            change("c", ["b"])
