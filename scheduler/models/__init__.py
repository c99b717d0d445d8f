"""Models: tasks, their dependencies and revisions, runs, executions, logs, totals, processes and tokens.

Writes go through `scheduler.services`; saving a model has no side effects."""

from scheduler.models.access import AccountSession, ApiToken, AttemptCount, AuditEvent
from scheduler.models.executions import Execution, ExecutionLog, Run, RunGraph
from scheduler.models.processes import ClockStep, Process
from scheduler.models.tasks import TASK_ID, LiveTaskManager, Task, TaskDependency, TaskRevision
from scheduler.models.totals import BucketTotal, EndedExecution, ExecutionTotal

__all__ = [
    "TASK_ID",
    "AccountSession",
    "ApiToken",
    "AttemptCount",
    "AuditEvent",
    "BucketTotal",
    "ClockStep",
    "EndedExecution",
    "Execution",
    "ExecutionLog",
    "ExecutionTotal",
    "LiveTaskManager",
    "Process",
    "Run",
    "RunGraph",
    "Task",
    "TaskDependency",
    "TaskRevision",
]
