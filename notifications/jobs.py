"""What the cluster calls by its dotted path."""

from __future__ import annotations


def send_deliveries() -> None:
    """Send what is due until nothing is; one sender in a cluster."""
    from notifications.services.sending import Sender
    from scheduler import cluster

    with cluster.seat(cluster.OTHER) as is_free:
        if is_free:
            Sender(should_stop=cluster.is_stopping).run()
