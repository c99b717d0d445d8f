"""The demonstration: believable, the same each time, and only where nothing is lost."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import override_settings

from notifications.choices import Scope
from notifications.models import Delivery, NotificationRule
from notifications.services.overdue import write_overdue
from schedsite.demo.history import demo_history
from schedsite.demo.seeding import seed_demonstration
from schedsite.demo.tasks import demo_tasks
from scheduler.choices import ACTIVE, RETRIED, Status
from scheduler.models import Execution, ExecutionLog, Run, Task, TaskRevision
from scheduler.selectors.run_graphs import run_graph

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def seeded(**options: int) -> None:
    seed_demonstration(now=NOW, days=options.pop("days", 12), **options)  # type: ignore[arg-type]


@pytest.fixture(scope="class")
def demonstration(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Write the demonstration once for the tests of a class, which read it."""
    scripts = override_settings(SCHEDULER_TASKS_DIR=tmp_path_factory.mktemp("tasks"))
    with scripts, django_db_blocker.unblock(), transaction.atomic():
        seeded()
        yield
        transaction.set_rollback(True)


@pytest.mark.usefixtures("demonstration")
class TestOfTheRows:
    def test_it_has_every_status_names_in_two_languages_and_logs(self) -> None:
        assert set(Execution.objects.values_list("status", flat=True)) == set(Status) - {Status.CANCELLED}
        assert Task.objects.count() == 25
        assert (
            Task.objects.filter(name="库存检查").exists() and Task.objects.filter(name="Mail digest").exists()
        )
        assert ExecutionLog.objects.exists()
        revision = TaskRevision.objects.get(task__task_id="backup_database", number=2)
        assert Execution.objects.filter(task=revision.task).latest("queued_at").revision == revision
        assert Execution.objects.filter(task=revision.task).earliest("queued_at").revision.number == 1

    def test_its_rows_keep_the_rules_of_the_real_ones(self) -> None:
        rows = list(Execution.objects.select_related("task"))
        for row in rows:
            assert row.queued_at <= NOW
            assert (row.finished_at is None) == (row.status in ACTIVE)
            assert not row.is_outcome or row.status not in ACTIVE
            assert row.started_at is None or row.finished_at is None or row.started_at <= row.finished_at
            if row.attempt > 1 and row.trigger != "manual":
                assert row.trigger == "retry"
        retried = [row for row in rows if not row.is_outcome and row.status not in ACTIVE]
        assert {row.status for row in retried} <= RETRIED
        assert not Run.objects.filter(finished_at=None).exclude(executions__status__in=ACTIVE).exists()

    def test_pipelines_run_in_order_and_a_failure_skips_what_follows(self) -> None:
        for row in Execution.objects.filter(task__task_id="load_warehouse", status=Status.SUCCESS):
            upstreams = list(row.upstream_executions.all())
            assert {upstream.task.task_id for upstream in upstreams} == {"clean_orders", "clean_customers"}
            assert all(
                upstream.finished_at <= row.queued_at for upstream in upstreams if upstream.finished_at
            )
        run = Run.objects.filter(executions__task__task_id="load_warehouse").latest("pk")
        assert {"clean_orders", "load_warehouse"} < {place.task.task_id for place in run_graph(run).places}
        skipped = Execution.objects.filter(task__task_id="verify_backup", status=Status.SKIPPED).latest("pk")
        cause = Execution.objects.filter(task__task_id="backup_database", is_outcome=True).latest("pk")
        assert skipped.reason == f"upstream backup_database ended technical_failure, execution {cause.pk}"

    def test_its_rules_have_sent_what_they_would_have_sent(self) -> None:
        assert NotificationRule.objects.filter(scope=Scope.ALL).exists()
        assert set(Delivery.objects.values_list("kind", flat=True)) == {"email", "webhook", "apprise"}
        assert set(Delivery.objects.values_list("state", flat=True)) == {"sent", "failed", "suppressed"}
        told = Delivery.objects.filter(rule_name="Shop unreachable", kind="email").order_by("occurred_at")
        assert [row.event for row in told if row.state == "sent"][-1] == "recovered"
        assert all(row.reason == "cooldown of 1 h" for row in told if row.state == "suppressed")
        backup = Delivery.objects.filter(rule_name="No backup")
        assert set(backup.values_list("event", flat=True)) == {"technical_failure", "overdue"}
        text = backup.filter(event="technical_failure").latest("occurred_at").content["text"]
        assert "No space left on device" in text and "Exit code: 28" in text

    def test_nothing_is_due_to_be_sent_and_a_real_outcome_goes_on_with_the_streak(self) -> None:
        task = Task.objects.get(task_id="backup_database")

        assert not Delivery.objects.due(NOW + timedelta(days=1)).exists()
        told = set(Delivery.objects.filter(task=task, event="overdue").values_list("occurred_at", flat=True))
        write_overdue(NOW)
        now_told = Delivery.objects.filter(task=task, event="overdue").values_list("occurred_at", flat=True)
        assert set(now_told) == told


def test_its_scripts_do_as_the_history_says_and_overwrite_nothing(db: None, settings: Any) -> None:
    own = settings.SCHEDULER_TASKS_DIR / "rotate_logs" / "rotate.sh"
    own.parent.mkdir()
    own.write_text("exit 3\n")
    seeded()

    def run(task_id: str) -> subprocess.CompletedProcess[str]:
        task = Task.objects.get(task_id=task_id)
        folder = settings.SCHEDULER_TASKS_DIR / task_id
        script = next(folder.iterdir())
        script.write_text(re.sub(r"(?m)^SECONDS, SPREAD = .*", "SECONDS, SPREAD = 0, 0", script.read_text()))
        return subprocess.run(
            ["sh", "-c", task.command], cwd=folder, capture_output=True, text=True, check=False
        )

    backup, stock, cleanup = run("backup_database"), run("stock_check"), run("user_cleanup")

    assert (backup.returncode, stock.returncode, cleanup.returncode) == (28, 1, 0)
    assert "No space left on device" in backup.stdout and "records in order" in cleanup.stdout
    assert own.read_text() == "exit 3\n"
    assert len(list(settings.SCHEDULER_TASKS_DIR.glob("*/*"))) == 25


def test_the_same_seed_tells_the_same_story() -> None:
    first, second = (demo_history(demo_tasks(10), now=NOW, days=5, seed=4) for _ in range(2))
    other = demo_history(demo_tasks(10), now=NOW, days=5, seed=5)

    assert first == second
    assert first != other


def test_it_refuses_where_there_are_tasks(make_task: object) -> None:
    make_task("mine")  # type: ignore[operator]

    with pytest.raises(CommandError, match=r"there are tasks already; .* use --force to go on"):
        call_command("seed_demo")
    assert Task.objects.count() == 1
    for _again in range(2):
        call_command("seed_demo", "--force", "--days", "2", "--tasks", "3", stdout=StringIO())
    assert Task.objects.count() == 4
    assert NotificationRule.objects.exclude(scope=Scope.TASK).count() == 3


def test_many_plain_executions_for_measuring(db: None) -> None:
    out = StringIO()

    call_command("seed_demo", "--tasks", "40", "--executions", "2500", "--days", "9", stdout=out)

    assert out.getvalue() == "40 tasks and 2500 executions were written\n"
    assert (Task.objects.count(), Execution.objects.count(), Run.objects.count()) == (40, 2500, 2500)
    oldest = Execution.objects.earliest("queued_at").queued_at
    assert timedelta(days=8) < datetime.now(UTC) - oldest < timedelta(days=10)
    assert not Execution.objects.filter(run=None).exists()


@pytest.mark.parametrize(
    ("option", "most"), [("--days", 3650), ("--tasks", 20_000), ("--executions", 100_000_000)]
)
def test_numbers_out_of_bounds_are_refused(db: None, option: str, most: int) -> None:
    for number in (0, most + 1):
        allowed = f"{option} is {number}; a whole number from 1 to {most} is allowed"
        with pytest.raises(CommandError, match=allowed):
            call_command("seed_demo", option, str(number))
