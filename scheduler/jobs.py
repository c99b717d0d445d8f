"""What the cluster calls by its dotted path; one line each."""

from __future__ import annotations


def work() -> None:
    """Run queued executions until nothing is left to do."""
    from scheduler.processes import cluster, supervisor

    with cluster.job_permit(cluster.WORK) as is_free:
        if is_free:
            supervisor.work()
