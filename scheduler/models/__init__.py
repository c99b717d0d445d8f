"""Models: tasks, their dependencies and revisions, runs, executions, logs, processes and tokens.

Writes go through `scheduler.services`; saving a model has no side effects."""

from scheduler.models.access import AccountSession, ApiToken, AttemptCount, AuditEvent
from scheduler.models.executions import Execution, ExecutionLog, Run, RunGraph
from scheduler.models.processes import ClockStep, Process
from scheduler.models.tasks import TASK_ID, LiveTaskManager, Task, TaskDependency, TaskRevision

__all__ = [
    "TASK_ID",
    "AccountSession",
    "ApiToken",
    "AttemptCount",
    "AuditEvent",
    "ClockStep",
    "Execution",
    "ExecutionLog",
    "LiveTaskManager",
    "Process",
    "Run",
    "RunGraph",
    "Task",
    "TaskDependency",
    "TaskRevision",
]
