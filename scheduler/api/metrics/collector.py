"""The metrics of the scheduler."""

from __future__ import annotations

import platform
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime

from django import get_version
from django.conf import settings
from django.db import connection
from prometheus_client import Metric

import schedsite
from scheduler.api.metrics.catalogue import describe, source
from scheduler.choices import FAILED, RAN, TERMINAL
from scheduler.engine.histograms import DURATION_BOUNDS, LATENESS_BOUNDS
from scheduler.models import Process
from scheduler.selectors import metrics as reads
from scheduler.selectors.statistics import database_size
from scheduler.selectors.storage import disks
from scheduler.services.totals import DURATION, LATENESS

BUILD = describe(
    "schedsite_build_info", "gauge", "Versions of Schedsite, Python and Django, and the database; always 1.",
    "version", "python", "django", "database",
)  # fmt: skip
EXECUTIONS = describe(
    "schedsite_executions_total", "counter",
    "Ended executions, each attempt and each skipped or missed slot, also of deleted tasks.", "status",
)  # fmt: skip
UNCOUNTED = describe(
    "schedsite_executions_uncounted", "gauge",
    "Ended executions that the dispatcher has not added to the counters yet.",
)  # fmt: skip
DURATIONS = describe(
    "schedsite_execution_duration_seconds", "histogram", "Time from start to end of executions that ran.",
    "status",
)  # fmt: skip
LATE = describe(
    "schedsite_execution_lateness_seconds", "histogram",
    "Time from slot to start of scheduled executions, counted at their end.",
)  # fmt: skip
OF_TASK = describe(
    "schedsite_task_executions_total", "counter", "Ended executions of a task, as schedsite_executions_total.",
    "task_id", "status",
)  # fmt: skip
DURATION_OF_TASK = describe(
    "schedsite_task_execution_duration_seconds", "summary",
    "Time from start to end of the executions of a task that ran.", "task_id",
)  # fmt: skip
SUCCEEDED = describe(
    "schedsite_task_last_success_timestamp_seconds",
    "gauge",
    "End of the latest success of a task.",
    "task_id",
)
FAILING = describe(
    "schedsite_task_failing", "gauge",
    "1 if the latest outcome of an enabled task that ran is a failure, 0 if it is a success.", "task_id",
)  # fmt: skip
LEFT_OUT = describe(
    "schedsite_tasks_without_series",
    "gauge",
    "Tasks beyond SCHEDULER_METRICS_TASKS, without metrics of their own.",
)
TASKS = describe(
    "schedsite_tasks", "gauge", "Tasks by state; broken ones are enabled, but their schedule cannot be computed.",
    "state",
)  # fmt: skip
READY = describe(
    "schedsite_queue_ready_executions", "gauge", "Queued executions that a worker could start now.", "queue"
)
OLDEST = describe(
    "schedsite_queue_oldest_ready_seconds", "gauge", "Time for which the oldest ready execution has waited.",
    "queue",
)  # fmt: skip
WAITING = describe(
    "schedsite_queue_waiting_executions", "gauge",
    "Queued executions that wait for the time of their retry or for another execution of their task.", "queue",
)  # fmt: skip
RUNNING = describe("schedsite_queue_running_executions", "gauge", "Running executions.", "queue")
SLOTS = describe(
    "schedsite_queue_slots", "gauge", "Executions that the live workers of a queue can run at once.", "queue"
)
PROCESSES = describe(
    "schedsite_processes", "gauge", "Processes with a recent heartbeat: dispatchers and workers.", "kind"
)
HEARTBEAT = describe(
    "schedsite_heartbeat_age_seconds", "gauge",
    "Time since the latest heartbeat of the processes of a kind, host and queue, except stopped ones.",
    "kind", "host", "queue",
)  # fmt: skip
LAG = describe(
    "schedsite_dispatch_lag_seconds",
    "gauge",
    "Time since the earliest due slot that was not dispatched, or 0.",
)
DATABASE = describe("schedsite_database_size_bytes", "gauge", "Size of the database.")
FREE = describe(
    "schedsite_disk_free_bytes", "gauge", "Free space on the disk of the data folder and of the spool, on this host.",
    "folder",
)  # fmt: skip
SIZE = describe(
    "schedsite_disk_size_bytes",
    "gauge",
    "Size of the disk of the data folder and of the spool, on this host.",
    "folder",
)

KINDS = {Process.Kind.DISPATCHER.value: "dispatcher", Process.Kind.CLUSTER.value: "worker"}


@source
def build(now: datetime) -> Iterator[Metric]:
    """Versions."""
    yield BUILD.of({(schedsite.__version__, platform.python_version(), get_version(), connection.vendor): 1})


@source
def executions(now: datetime) -> Iterator[Metric]:
    """Counters and histograms of all executions."""
    counted = reads.slots_by_status()
    yield EXECUTIONS.of({(status,): counted.get(status, 0) for status in sorted(TERMINAL)})
    yield UNCOUNTED.of({(): reads.uncounted()})
    stored = reads.buckets(DURATION)
    yield DURATIONS.of(
        {
            (status,): dict.fromkeys(DURATION_BOUNDS, (0, 0.0)) | stored.get(status, {})
            for status in sorted(RAN)
        }
    )
    late = reads.buckets(LATENESS)
    yield LATE.of({(): dict.fromkeys(LATENESS_BOUNDS, (0, 0.0)) | late.get("", {})})


@source
def tasks(now: datetime) -> Iterator[Metric]:
    """Metrics of tasks; those of each are bounded by a setting."""
    states = reads.task_states()
    shown = reads.oldest_tasks(settings.SCHEDULER_METRICS_TASKS)
    yield TASKS.of({(state,): number for state, number in states.items()})
    yield LEFT_OUT.of({(): max(sum(states.values()) - len(shown), 0)})
    yield from _of_each(shown)


def _of_each(shown: list[reads.TaskFigures]) -> Iterator[Metric]:
    slots: dict[int, dict[str, int]] = defaultdict(dict)
    timed: dict[int, tuple[int, float]] = {}
    for pk, status, number, count, seconds in reads.totals_up_to(shown[-1].pk) if shown else ():
        slots[pk][status] = number
        before = timed.get(pk, (0, 0.0))
        timed[pk] = (before[0] + count, before[1] + seconds)
    statuses = sorted(status.value for status in TERMINAL)
    yield OF_TASK.of({(one.task_id, name): slots[one.pk].get(name, 0) for one in shown for name in statuses})
    yield DURATION_OF_TASK.of({(one.task_id,): timed.get(one.pk, (0, 0.0)) for one in shown})
    yield SUCCEEDED.of(
        {(one.task_id,): None if one.succeeded_at is None else one.succeeded_at.timestamp() for one in shown}
    )
    yield FAILING.of({(one.task_id,): _is_failing(one) for one in shown})


def _is_failing(one: reads.TaskFigures) -> int | None:
    if one.last_status is None or not one.is_enabled:
        return None
    return int(one.last_status in FAILED)


@source
def queues_and_processes(now: datetime) -> Iterator[Metric]:
    """Queues, dispatchers and workers."""
    found = reads.processes(now)
    slots: dict[str, int] = {}
    alive = dict.fromkeys(KINDS.values(), 0)
    for one in found:
        alive[KINDS[one.kind]] += one.alive
        if one.kind == Process.Kind.CLUSTER and one.alive:
            slots[one.queue] = slots.get(one.queue, 0) + one.slots
    yield from _of_queues(reads.queues(now), slots, now)
    yield PROCESSES.of({(kind,): number for kind, number in alive.items()})
    yield HEARTBEAT.of({(KINDS[one.kind], one.host, one.queue): _age(one.heartbeat_at, now) for one in found})
    yield LAG.of({(): _age(reads.oldest_due_at(now), now)})


def _of_queues(
    queues: dict[str, reads.QueueFigures], slots: dict[str, int], now: datetime
) -> Iterable[Metric]:
    figures = {name: queues.get(name, reads.QueueFigures()) for name in sorted({*queues, *slots})}
    yield READY.of({(name,): one.ready for name, one in figures.items()})
    yield OLDEST.of({(name,): _age(one.oldest_at, now) for name, one in figures.items()})
    yield WAITING.of({(name,): one.waiting for name, one in figures.items()})
    yield RUNNING.of({(name,): one.running for name, one in figures.items()})
    yield SLOTS.of({(name,): slots.get(name, 0) for name in figures})


def _age(at: datetime | None, now: datetime) -> float:
    return 0.0 if at is None else max((now - at).total_seconds(), 0.0)


@source
def storage(now: datetime) -> Iterator[Metric]:
    """Database and disks."""
    found = disks()
    yield DATABASE.of({(): database_size()})
    yield FREE.of({(one.folder,): one.free for one in found})
    yield SIZE.of({(one.folder,): one.size for one in found})
