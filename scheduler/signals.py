"""What other apps may listen to. Both are sent by services only."""

from __future__ import annotations

from django.dispatch import Signal

#: Sent inside the transaction that records outcomes, once a group.
#: Arguments: ``executions`` (list of Execution with task; each is the outcome of its task in its run).
execution_finished = Signal()

#: Sent by each dispatcher after its sweep, outside a transaction. Argument: ``now`` (aware UTC).
dispatcher_swept = Signal()
