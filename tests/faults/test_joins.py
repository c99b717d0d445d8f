"""Two processes at the same instant: two upstreams that end, and two edits that would make a cycle together."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from typing import Any

import pytest
from django.db import connection, connections

from scheduler.choices import Status
from scheduler.config_file import ConfigError
from scheduler.models import Execution, Task, TaskDependency
from scheduler.services.outcomes import Report, finish
from scheduler.services.tasks import save_task
from scheduler.specs import task_to_spec
from tests.conftest import NOON
from tests.simulation import Engine

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


def test_two_upstreams_that_end_at_the_same_instant_start_the_join_once(make_task: Any) -> None:
    rounds = 500
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


def depend(edge: tuple[str, str]) -> str:
    downstream, upstream = edge
    task = Task.objects.get(task_id=downstream)
    spec = task_to_spec(task)
    spec["task_dependencies"] = [upstream]
    try:
        save_task(spec, task=task, user=None, now=NOON)
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


def test_two_parents_of_different_runs_that_end_at_the_same_instant_start_the_child_once(
    make_task: Any,
) -> None:
    engine = Engine(make_task)
    engine.task("a")
    engine.task("b")
    engine.task("c", "a", "b")

    with pair_of(end_as_success) as pair:
        for number in range(1, 101):
            engine.start("a")
            engine.start("b")
            engine.claim()
            at = engine.clock.tick()
            pair.at_once((engine.claimed.pop("a"), at), (engine.claimed.pop("b"), at))
            assert Execution.objects.filter(task__task_id="c").count() == number
            engine.end(c=Status.SUCCESS)
