"""The history of the demonstration: executions simulated from the profiles of its tasks."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from schedsite.demo.tasks import DemoTask
from scheduler.choices import RETRIED, Status, Trigger
from scheduler.engine.reasons import Code, Reason
from scheduler.engine.retry import RetryPolicy, next_attempt_at
from scheduler.engine.schedules import parse_schedule, slots_between
from scheduler.engine.states import reason_of_exit

SHORTEST = 0.04  # seconds
OUTAGE_DAYS_AGO, OUTAGE_LENGTH = 9.4, timedelta(minutes=50)
LAST_MANUAL_DAYS = 10


@dataclass
class DemoExecution:
    """One execution to store; `run` is a run number from 1, or 0 for none; `number` is its own position from 1."""

    task_id: str
    run: int
    status: Status
    trigger: Trigger
    queued_at: datetime
    attempt: int = 1
    retries_left: int = 0
    is_outcome: bool = True
    scheduled_for: datetime | None = None
    not_before: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    reason: Reason | None = None
    slot_count: int = 1
    covers_until: datetime | None = None
    upstream_rows: list[DemoExecution] = field(default_factory=list)
    number: int = 0


def demo_history(
    tasks: Sequence[DemoTask], *, now: datetime, days: int, seed: int
) -> tuple[list[DemoExecution], int]:
    """Return the executions of the last `days` in queueing order, and the number of runs."""
    story = _Story({task.spec["task_id"]: task for task in tasks}, now, days, random.Random(seed))  # noqa: S311 - no secret: a simulation
    for task in tasks:
        story.tell(task)
    rows = sorted(story.rows, key=lambda row: (row.queued_at, row.task_id, row.attempt))
    for number, row in enumerate(rows, 1):
        row.number = number
    return [_named(row) for row in rows], story.runs


def _named(row: DemoExecution) -> DemoExecution:
    """Insert the number of an execution into the reason that refers to it."""
    if row.status == Status.SKIPPED and row.upstream_rows and row.reason is not None:
        execution = {"execution": row.upstream_rows[-1].number}
        row.reason = Reason(row.reason.code, {**row.reason.params, **execution})
    return row


class _Story:
    """Simulates each scheduled task and its downstreams."""

    def __init__(self, tasks: dict[str, DemoTask], now: datetime, days: int, chance: random.Random) -> None:
        self.tasks, self.now, self.days, self.chance = tasks, now, days, chance
        self.begin = now - timedelta(days=days)
        self.outage = now - timedelta(days=min(OUTAGE_DAYS_AGO, days / 2))
        self.rows: list[DemoExecution] = []
        self.runs = 0
        self.downstreams: dict[str, list[str]] = defaultdict(list)
        for task in tasks.values():
            for upstream in task.spec["task_dependencies"]:
                self.downstreams[upstream].append(task.spec["task_id"])

    def tell(self, task: DemoTask) -> None:
        """Add the history of one scheduled task."""
        spec = task.spec
        if not spec["task_schedule"]:
            return
        end = self.now - timedelta(seconds=1 if spec["task_enabled"] else 172_800)
        slots = slots_between(
            parse_schedule(spec["task_schedule"], spec["task_timezone"] or "UTC"), self.begin, end
        )
        missed = [slot for slot in slots if self.outage <= slot < self.outage + OUTAGE_LENGTH]
        if missed:
            self._miss(task, missed)
        busy_until, blocking = self.begin, None
        for slot in slots:
            if missed and missed[0] <= slot <= missed[-1]:
                continue
            if slot < busy_until and blocking is not None:
                self._skip(task, slot, blocking)
                continue
            outcome = self._run(task, slot, Trigger.SCHEDULE, slot)
            busy_until = outcome.finished_at or self.now
            blocking = outcome
        if self.chance.random() < 0.6 and spec["task_enabled"]:
            at = self.now - timedelta(days=self.chance.uniform(0.3, min(self.days, LAST_MANUAL_DAYS)))
            self._run(task, None, Trigger.MANUAL, at)
        self._leave_open(task)

    def _leave_open(self, task: DemoTask) -> None:
        """Make the latest execution of a task run, or fail and wait for its next attempt."""
        own = [row for row in self.rows if row.task_id == task.spec["task_id"] and row.started_at is not None]
        if not task.profile.present or not own:
            return
        row = max(own, key=lambda row: (row.queued_at, row.attempt))
        row.is_outcome, row.exit_code, row.reason = False, None, None
        if task.profile.present == "running":
            row.started_at = self.now - timedelta(seconds=task.profile.seconds * 0.7)
            row.status, row.finished_at = Status.RUNNING, None
            return
        row.status, row.finished_at = Status.TECHNICAL_FAILURE, self.now - timedelta(minutes=2)
        row.started_at = row.finished_at - timedelta(seconds=task.profile.seconds)
        row.exit_code, row.reason = task.profile.exit_code, reason_of_exit(task.profile.exit_code)
        row.trigger, row.scheduled_for, row.queued_at = Trigger.MANUAL, None, row.started_at
        self.rows.append(
            DemoExecution(
                row.task_id,
                row.run,
                Status.QUEUED,
                Trigger.RETRY,
                row.finished_at,
                attempt=row.attempt + 1,
                is_outcome=False,
                not_before=self.now + timedelta(minutes=7),
            )
        )

    def _miss(self, task: DemoTask, slots: Sequence[datetime]) -> None:
        found = self.outage + OUTAGE_LENGTH
        self.rows.append(
            DemoExecution(
                task.spec["task_id"],
                0,
                Status.MISSED,
                Trigger.SCHEDULE,
                found,
                scheduled_for=slots[0],
                finished_at=found,
                slot_count=len(slots),
                covers_until=slots[-1],
                reason=Reason(Code.NO_DISPATCHER),
            )
        )

    def _skip(self, task: DemoTask, slot: datetime, blocking: DemoExecution) -> None:
        self.rows.append(
            DemoExecution(
                task.spec["task_id"],
                0,
                Status.SKIPPED,
                Trigger.SCHEDULE,
                slot,
                scheduled_for=slot,
                finished_at=slot,
                reason=Reason(Code.EXECUTION_ACTIVE, {"status": Status.RUNNING.value}),
                upstream_rows=[blocking],
            )
        )

    def _run(self, task: DemoTask, slot: datetime | None, trigger: Trigger, at: datetime) -> DemoExecution:
        """Run a task and its downstreams; return the last attempt."""
        self.runs += 1
        run = self.runs
        late = timedelta(seconds=self.chance.uniform(0.01, 0.4))
        outcomes = {task.spec["task_id"]: self._attempts(task, run, trigger, slot, at + late)}
        waiting = [task.spec["task_id"]]
        while waiting:
            for name in self.downstreams[waiting.pop(0)]:
                upstreams = self.tasks[name].spec["task_dependencies"]
                if name not in outcomes and all(upstream in outcomes for upstream in upstreams):
                    found = self._follow(name, run, [outcomes[upstream] for upstream in upstreams])
                    if found is not None:
                        outcomes[name] = found
                        waiting.append(name)
        return outcomes[task.spec["task_id"]]

    def _follow(self, name: str, run: int, upstreams: list[DemoExecution]) -> DemoExecution | None:
        if any(row.finished_at is None for row in upstreams):
            return None
        at = max(row.finished_at for row in upstreams if row.finished_at is not None)
        bad = [row for row in upstreams if row.status != Status.SUCCESS]
        if not bad:
            row = self._attempts(self.tasks[name], run, Trigger.DEPENDENCY, None, at)
            row.upstream_rows = list(upstreams)
            return row
        ended = {"task": bad[-1].task_id, "status": bad[-1].status.value}
        row = DemoExecution(
            name,
            run,
            Status.SKIPPED,
            Trigger.DEPENDENCY,
            at,
            finished_at=at,
            reason=Reason(Code.UPSTREAM_ENDED, ended),
            upstream_rows=[bad[-1]],
        )
        self.rows.append(row)
        return row

    def _attempts(
        self, task: DemoTask, run: int, trigger: Trigger, slot: datetime | None, at: datetime
    ) -> DemoExecution:
        """Add an execution and its retries; return the last."""
        spec = task.spec
        policy = RetryPolicy(
            spec["task_retry"], float(spec["task_retry_interval"]), float(spec["task_retry_backoff"])
        )
        attempt, not_before = 1, None
        while True:
            row = DemoExecution(
                spec["task_id"],
                run,
                Status.QUEUED,
                trigger if attempt == 1 else Trigger.RETRY,
                at,
                attempt=attempt,
                retries_left=spec["task_retry"] - attempt + 1,
                scheduled_for=slot,
                not_before=not_before,
            )
            self.rows.append(row)
            self._end(task, row, not_before or at)
            if row.status not in RETRIED or row.finished_at is None:
                row.is_outcome = row.finished_at is not None
                return row
            not_before = next_attempt_at(
                policy, status=row.status, failures=attempt, failed_at=row.finished_at
            )
            if not_before is None:
                return row
            row.is_outcome = False
            attempt, at = attempt + 1, row.finished_at

    def _end(self, task: DemoTask, row: DemoExecution, ready: datetime) -> None:
        """Choose how an execution ends; it waits or runs if it would not have started or ended by now."""
        profile = task.profile
        row.status, seconds = self._outcome(task, row)
        start = ready + timedelta(seconds=self.chance.uniform(0.02, 0.3))
        if start > self.now:
            row.status, row.is_outcome = Status.QUEUED, False
            return
        row.started_at = start
        end = start + timedelta(seconds=seconds)
        if end > self.now:
            row.status, row.is_outcome, row.reason = Status.RUNNING, False, None
            return
        row.finished_at = end
        row.exit_code = {Status.SUCCESS: 0, Status.BUSINESS_FAILURE: 1}.get(row.status)
        if row.status == Status.TECHNICAL_FAILURE:
            row.exit_code, row.reason = profile.exit_code, reason_of_exit(profile.exit_code)
        if row.status == Status.TIMEOUT:
            row.reason = Reason(Code.TIMED_OUT, {"seconds": task.spec["task_timeout"]})

    def _outcome(self, task: DemoTask, row: DemoExecution) -> tuple[Status, float]:
        profile, timeout = task.profile, task.spec["task_timeout"]
        age = (self.now - row.queued_at) / timedelta(days=1)
        grown = 1 + profile.drift * (1 - age / self.days)
        seconds = profile.seconds * grown / (1 + profile.drift)
        seconds = max(seconds * self.chance.lognormvariate(0, profile.spread), SHORTEST)
        status, luck = Status.SUCCESS, self.chance.random()
        if luck < profile.business:
            status = Status.BUSINESS_FAILURE
        elif luck < profile.business + profile.technical:
            status, seconds = Status.TECHNICAL_FAILURE, seconds * 0.4
        for spell in profile.spells:
            if spell.until <= age <= spell.since and self.chance.random() <= spell.share:
                status = spell.status
                seconds *= 0.4 if status == Status.TECHNICAL_FAILURE else 1
        if status == Status.SUCCESS and timeout is not None and seconds > timeout:
            status, seconds = Status.TIMEOUT, float(timeout)
        return status, seconds


def demo_log(task: DemoTask, row: DemoExecution) -> str:
    """Return the output of an execution."""
    chance = random.Random(f"{row.task_id} {row.queued_at}")  # noqa: S311 - no secret: a simulation
    items = chance.randrange(40, 4000)
    lines = [
        f"\x1b[2m{row.queued_at:%Y-%m-%d %H:%M:%S}\x1b[0m starting {task.spec['task_name']}",
        f"\x1b[36minfo\x1b[0m  {items} records to do",
        *(
            f"\x1b[36minfo\x1b[0m  {done * items // 8}/{items} done"
            for done in range(1, 9 if row.status == Status.SUCCESS else 5)
        ),
    ]
    if row.status == Status.SUCCESS:
        lines.append(f"\x1b[32mdone\x1b[0m  {items} records in order")
    elif row.status == Status.TIMEOUT:
        lines.append("\x1b[33mwarn\x1b[0m  slower than usual, waiting for a lock")
    elif row.status != Status.RUNNING:
        lines += [
            f"\x1b[33mwarn\x1b[0m  record {chance.randrange(items)} was refused",
            f"\x1b[1;31m{task.profile.error}\x1b[0m",
        ]
    return "\n".join(lines) + "\n"
