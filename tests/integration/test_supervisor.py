"""What a worker process does with its executions, and what it writes about them."""

from __future__ import annotations

import errno
import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from scheduler.choices import Status, Trigger
from scheduler.models import Execution, Process
from scheduler.processes import supervisor as module
from scheduler.processes.supervisor import Supervisor
from scheduler.runner import Pipes, Spool, start
from scheduler.services import claims, commands, heartbeats, recovery
from scheduler.services.outcomes import LogPiece, Report, append_log, finish
from scheduler.services.runs import request_run
from tests.stack import wait_until


@pytest.fixture
def supervisor(transactional_db: None) -> Supervisor:
    spool = Spool(settings.SCHEDULER_SPOOL_DIR)
    process = heartbeats.register(
        Process.Kind.WORKER, host_id=spool.host_id, queue="default", slots=4, now=datetime.now(UTC)
    )
    return Supervisor(process, spool)


def claim(make_task: Any, owner: Process) -> claims.Claimed:
    """Queue an execution and claim it."""
    now = datetime.now(UTC)
    request_run(make_task("a"), trigger=Trigger.MANUAL, user=None, now=now)
    (claimed,) = claims.claim(owner=owner, queue="default", limit=1, now=now)
    return claimed


def test_a_claim_whose_answer_was_lost_is_run_all_the_same(supervisor: Supervisor, make_task: Any) -> None:
    claim(make_task, supervisor.process)  # committed, but the worker never heard of it

    supervisor.run()

    execution = Execution.objects.get()
    assert (execution.status, execution.exit_code) == (Status.SUCCESS, 0)


def test_a_worker_with_a_long_command_is_notified_of_new_work(
    supervisor: Supervisor, make_task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LISTEN_AFTER", 0.0)
    monkeypatch.setattr(module, "LOOK_ANYWAY", 600.0)
    go = Path(settings.SCHEDULER_TASKS_DIR) / "go"
    first = make_task("first", task_exec=f"until [ -e {go} ]; do sleep 0.05; done")
    second = make_task("second", task_exec=f"touch {go}")

    def queue_second() -> None:
        try:
            wait_until(lambda: Execution.objects.running().exists() and supervisor.is_notified, what="start")
            request_run(second, trigger=Trigger.MANUAL, user=None, now=datetime.now(UTC))
        finally:
            connection.close()

    request_run(first, trigger=Trigger.MANUAL, user=None, now=datetime.now(UTC))
    thread = threading.Thread(target=queue_second)
    thread.start()
    supervisor.run()
    thread.join()

    assert set(Execution.objects.values_list("status", flat=True)) == {Status.SUCCESS}


CODES = {"success": [0, 24], "business_failure": ["3-5"], "technical_failure": [1], "no_retry": [78]}
TECHNICAL = "exit code 1 means a technical failure (task_exit_codes)"
FINAL = "exit code 78; not retried (no_retry of task_exit_codes)"


@pytest.mark.parametrize(
    ("command", "codes", "outcome", "attempts"),
    [
        ("exit 24", CODES, (Status.SUCCESS, "exit code 24 means success (task_exit_codes)"), 1),
        (
            "exit 4",
            CODES,
            (Status.BUSINESS_FAILURE, "exit code 4 means a business failure (task_exit_codes)"),
            1,
        ),
        ("exit 1", CODES, (Status.TECHNICAL_FAILURE, TECHNICAL), 2),
        ("exit 1", {}, (Status.BUSINESS_FAILURE, ""), 1),
        ("exit 78", CODES, (Status.TECHNICAL_FAILURE, FINAL), 1),
        ("exit 78", {}, (Status.TECHNICAL_FAILURE, "exit code 78"), 2),
        ("kill -9 $$", {"success": [137]}, (Status.TECHNICAL_FAILURE, "killed by SIGKILL"), 2),
    ],
)
def test_the_exit_codes_of_a_task_decide_its_outcome_and_its_retries(
    supervisor: Supervisor,
    make_task: Any,
    command: str,
    codes: dict[str, Any],
    outcome: tuple[Status, str],
    attempts: int,
) -> None:
    task = make_task("a", task_exec=command, task_exit_codes=codes, task_retry=1, task_retry_interval=0)
    request_run(task, trigger=Trigger.MANUAL, user=None, now=datetime.now(UTC))

    supervisor.run()

    last = Execution.objects.get(is_outcome=True)
    assert (last.status, last.reason, last.attempt) == (*outcome, attempts)


def test_a_timeout_is_a_timeout_whatever_the_exit_codes_say(supervisor: Supervisor, make_task: Any) -> None:
    command = 'trap "exit 24" TERM; sleep 60 & wait'
    task = make_task("a", task_exec=command, task_exit_codes=CODES, task_timeout=0.3)
    request_run(task, trigger=Trigger.MANUAL, user=None, now=datetime.now(UTC))

    supervisor.run()

    execution = Execution.objects.get()
    assert (execution.status, execution.reason) == (Status.TIMEOUT, "ran longer than its timeout of 0.3 s")


def test_only_what_lies_between_head_and_tail_leaves_the_log(supervisor: Supervisor, make_task: Any) -> None:
    claimed = claim(make_task, supervisor.process)
    pk = claimed.execution_id

    def pieces(*bounds: tuple[int, int]) -> list[LogPiece]:
        return [LogPiece(pk, claimed.claim, start, end - start, "x" * (end - start)) for start, end in bounds]

    def offsets() -> list[int]:
        return list(Execution.objects.get().log_pieces.order_by("offset").values_list("offset", flat=True))

    append_log(pieces((0, 500), (500, 600), (9000, 9500)))
    append_log(pieces((9500, 9600)), left_out=[(pk, 500, 9100)])
    assert offsets() == [0, 9000, 9500]

    end = datetime.now(UTC)
    finish(
        [Report(claimed, Status.SUCCESS, end, 0, None, 10_100, pieces((9600, 10_100)), (500, 9600))], now=end
    )
    assert offsets() == [0, 9600]


def test_what_a_dead_worker_left_in_the_spool_goes_and_what_runs_stays(
    supervisor: Supervisor, make_task: Any
) -> None:
    spool, running = supervisor.spool, claim(make_task, supervisor.process)
    now = datetime.now(UTC)
    Path(spool.path(running.execution_id, running.claim, "out")).touch()
    Path(spool.path(99, "c0ffee", "out")).touch()
    Path(spool.path(99, "c0ffee", "shell")).symlink_to("/dev/null")

    early = recovery.remove_stale_files(spool, now=now)
    late = recovery.remove_stale_files(spool, now=now + timedelta(hours=2))

    assert (early, late) == (0, 1)
    names = {path.name for path in spool.root.iterdir()}
    assert names == {"host-id", f"{running.execution_id}-{running.claim}.out"}


def test_an_execution_that_cannot_be_prepared_ends_and_the_others_go_on(
    supervisor: Supervisor, make_task: Any
) -> None:
    now = datetime.now(UTC)
    bad = make_task("bad", task_env={"_ENV_FILE": "x" * 300}, task_priority=9)
    for task in (bad, make_task("good")):
        request_run(task, trigger=Trigger.MANUAL, user=None, now=now)

    supervisor.run()

    ended = dict(Execution.objects.values_list("task__task_id", "status"))
    assert ended == {"bad": Status.TECHNICAL_FAILURE, "good": Status.SUCCESS}
    assert "File name too long" in Execution.objects.get(task=bad).reason


def test_processes_that_outlive_their_shell_for_the_grace_time_are_looked_for_now_and_then(
    supervisor: Supervisor, make_task: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SCHEDULER_GRACE = 1
    task = make_task("a", task_exec="(trap '' TERM; sleep 60) & wait", task_timeout=0.1)
    request_run(task, trigger=Trigger.MANUAL, user=None, now=datetime.now(UTC))
    waits = []
    wait = supervisor._wait
    monkeypatch.setattr(supervisor, "_wait", lambda seconds: (waits.append(seconds), wait(seconds)))

    supervisor.run()

    assert Execution.objects.get().status == Status.TIMEOUT
    assert len(waits) < 150


def test_what_cannot_be_taken_over_at_once_is_taken_over_later(
    supervisor: Supervisor, make_task: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("scheduler.runner.command.REAPED_WITHIN", 0.1)  # no keeper reaps the shells of a test
    spool = supervisor.spool
    dead = heartbeats.register(
        Process.Kind.WORKER, host_id=spool.host_id, queue="default", slots=9, now=datetime.now(UTC)
    )
    task = make_task("a", task_exec="sleep 60", task_concurrency="allow", task_timeout=0.5)
    for _ in range(3):
        request_run(task, trigger=Trigger.MANUAL, user=None, now=datetime.now(UTC))
    taken = claims.claim(owner=dead, queue="default", limit=3, now=datetime.now(UTC))
    for one in taken:
        command = start(commands.command_to_adopt(one), spool, Pipes())
        while not Path(spool.path(one.execution_id, one.claim, "shell")).exists():
            os.sched_yield()
        command.close()
    Process.objects.filter(pk=dead.pk).update(pid=999_999)
    real, refused = os.pidfd_open, [OSError(errno.EMFILE, "Too many open files")] * 2

    def too_many(pid: int, *more: int) -> int:
        if refused:
            raise refused.pop()
        return real(pid, *more)

    monkeypatch.setattr(os, "pidfd_open", too_many)

    supervisor.run()

    ended = Execution.objects.values_list("status", flat=True)
    assert list(ended) == [Status.TIMEOUT] * 3
