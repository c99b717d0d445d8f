"""Transactions take locks in one order, so that none waits for another in a circle: the statements are recorded."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from notifications.choices import Scope
from notifications.models import Delivery, NotificationRule
from notifications.services import resending
from notifications.services.definitions import delete_rule, save_rule, validate_rule
from notifications.services.send_threads import send_due
from scheduler.choices import Trigger
from scheduler.config_file import validate_task
from scheduler.engine.limits import GuessLimit
from scheduler.models import Task
from scheduler.services import clock, dispatch, limits, locks, runs, tasks
from scheduler.services.limits import Counted
from scheduler.services.limits import Scope as LimitScope
from scheduler.services.locks import ALONE, ORDER, Space
from tests.conftest import NOON
from tests.notify import NotebookChannel, rule
from tests.simulation import Engine, F, S, diamond

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parents[2]
FOR_UPDATE = re.compile(r" FOR (?:NO KEY )?UPDATE")
TABLE = re.compile(r'FROM "(\w+)"')
#: What a statement locks, in the order in which it was executed, by transaction.
Locks = dict[int, list["Lock"]]


class Lock:
    """A lock that a statement waits for, and whether the statement orders the rows that it locks."""

    def __init__(self, sql: str, params: Any) -> None:
        advisory = "pg_advisory_xact_lock" in sql
        self.of: str | Space = Space(params[0]) if advisory else TABLE.findall(sql)[0]
        keys = rf'ORDER BY (?:\d|"{self.of}"\."(?:id|scope)")'
        is_single = f'"{self.of}"."id" = %s' in sql or "LIMIT 21" in sql  # 21: of `get`, by a unique key
        self.is_ordered = advisory or is_single or bool(re.search(keys, sql))
        self.sql = sql


@contextmanager
def recorded() -> Iterator[Locks]:
    """Record the statements that wait for locks which their transaction does not hold yet."""
    found: Locks = defaultdict(list)
    held: dict[tuple[int, str | Space], set[Any]] = defaultdict(set)

    def wrapper(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(sql, params, many, context)
        locks_rows = bool(FOR_UPDATE.search(sql)) and "SKIP LOCKED" not in sql
        if locks_rows or "pg_advisory_xact_lock" in sql:
            lock, raw = Lock(sql, params), connection.connection
            keys = {row[0] for row in raw.execute(sql, params)} if locks_rows else {str(params)}
            transaction = raw.execute("SELECT txid_current()").fetchone()[0]
            if not keys <= held[transaction, lock.of]:
                held[transaction, lock.of] |= keys
                found[transaction].append(lock)
        return result

    with connection.execute_wrapper(wrapper):
        yield found


def run_and_cancel(engine: Engine) -> None:
    """Start, end, retry and cancel executions of a graph."""
    engine.start("a")
    engine.end(a=S)
    engine.end(b=F, c=S)
    engine.start("a")
    engine.end(a=S)
    engine.end(b=F)
    runs.resume(engine.latest("b"), trigger=Trigger.API, now=engine.clock.tick())
    engine.start("d")
    runs.cancel_run(engine.latest("b").run, by="somebody", now=engine.clock.tick())  # type: ignore[arg-type]
    engine.start("every_minute")
    runs.cancel_execution(engine.latest("every_minute"), by="somebody", now=engine.clock.tick())
    dispatch.dispatch_due(NOON + timedelta(minutes=3))


def send_and_resend(engine: Engine) -> None:
    send_due(clock=engine.clock.tick)
    for delivery in Delivery.objects.exclude(channel=None):
        resending.resend(delivery, now=engine.clock.tick())


def edit_and_delete(engine: Engine, user: User) -> None:
    spec = validate_task({"task_id": "b", "task_name": "B", "task_exec": "false", "task_dependencies": ["a"]})
    tasks.save_task(spec, task=named("b"), user=user, now=engine.clock.tick())
    tasks.set_enabled(named("c"), False, user=user, now=engine.clock.tick())
    deleted = named("d")
    tasks.delete_task(deleted, user=user, now=engine.clock.tick())
    tasks.restore_task(deleted, user=user, now=engine.clock.tick())
    for row in NotificationRule.objects.all():
        delete_rule(row, user=user, now=engine.clock.tick())


def live(engine: Engine) -> None:
    """Do what locks: edits, runs, ends, retries, cancels, deletions, messages, clock steps, sign-ins."""
    user = User.objects.create_superuser("root", password="a password")
    save_rule(
        validate_rule(rule("technical_failure", "timeout", threshold=2)), scope=Scope.ALL, user=user, now=NOON
    )
    diamond(engine, task_concurrency="replace", task_notify=[rule("technical_failure")])
    engine.task("every_minute", task_schedule="* * * * *", task_concurrency="replace")
    run_and_cancel(engine)
    send_and_resend(engine)
    edit_and_delete(engine, user)
    clock.put_back(NOON - timedelta(days=1), seconds=86400)
    guess = Counted(LimitScope.LOGIN, GuessLimit(3, 5, 900, 900), account="a", address="::1")
    limits.give_back(limits.take([guess], now=NOON))


def place(of: str | Space) -> int:
    """Return the place of a lock in the order; those that are taken alone come last."""
    return ORDER.index(of) if of in ORDER else len(ORDER)


def named(task_id: str) -> Task:
    return Task.objects.get(task_id=task_id)


@pytest.fixture
def locks_of_a_life(make_task: Any, notebook: NotebookChannel) -> Locks:
    if connection.vendor != "postgresql":
        pytest.skip("of PostgreSQL: SQLite has a single writer")
    with recorded() as found:
        live(Engine(make_task))
    return found


def test_every_transaction_locks_in_the_order(locks_of_a_life: Locks) -> None:
    orders = [[lock.of for lock in taken] for taken in locks_of_a_life.values()]

    assert {of for order in orders for of in order} - ALONE == set(ORDER)
    assert [order for order in orders if ALONE.intersection(order) and len(set(order)) > 1] == []
    assert [order for order in orders if order != sorted(order, key=place)] == []


def test_rows_of_one_step_are_locked_by_their_keys(locks_of_a_life: Locks) -> None:
    loose = {lock.sql for taken in locks_of_a_life.values() for lock in taken if not lock.is_ordered}

    assert loose == set()


def test_only_one_module_knows_advisory_locks() -> None:
    known = [
        str(path.relative_to(ROOT))
        for package in ("scheduler", "notifications", "schedsite")
        for path in (ROOT / package).rglob("*.py")
        if "pg_advisory" in path.read_text(encoding="utf-8")
    ]

    assert known == [str(Path(locks.__file__).relative_to(ROOT))]
