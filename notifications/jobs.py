"""Jobs that the cluster calls by their dotted paths."""

from __future__ import annotations


def send_deliveries() -> None:
    """Send deliveries until none is due; one sender per cluster."""
    from notifications.services.send_threads import Sender
    from scheduler.processes import cluster

    with cluster.job_permit(cluster.OTHER) as is_free:
        if is_free:
            Sender(should_stop=cluster.is_stopping).run()
