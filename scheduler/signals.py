"""What other apps may listen to. All are sent by services, dispatcher_swept by the dispatcher."""

from __future__ import annotations

from django.dispatch import Signal

#: Sent inside the transaction that records outcomes, once a group.
#: Arguments: ``execution_ids`` and ``task_pks`` (the primary keys of executions and of their tasks) and ``executions``
#: (list of Execution with task, read from the database when it is first looked at; each is the outcome of its task in
#: its run).
execution_finished = Signal()

#: Sent inside the transaction that writes definitions. Argument: ``tasks`` (list of Task, as they are now).
tasks_written = Signal()

#: Sent inside the transaction that takes tasks away. Argument: ``task_pks`` (list of primary keys).
tasks_deleted = Signal()

#: Sent by each dispatcher after its sweep, outside a transaction. Argument: ``now`` (aware UTC).
dispatcher_swept = Signal()

#: Sent inside the transaction that makes the plan anew after a clock was put back. Argument: ``now`` (aware UTC).
clock_put_back = Signal()

#: Sent after executions beyond their retention were deleted. Argument: ``older_than`` (aware UTC), the general bound.
history_pruned = Signal()
