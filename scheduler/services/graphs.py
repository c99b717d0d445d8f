"""The dependency graph of a run, stored when it begins, so that later edits do not affect it."""

from __future__ import annotations

from collections.abc import Collection

from scheduler.models import RunGraph
from scheduler.selectors.graphs import refreshed_graph


def graphs_of(tasks: Collection[int]) -> dict[int, int]:
    """Return the primary key of the run graph that begins with each of `tasks`; store new graphs.

    Tasks without downstreams are omitted.
    """
    current = refreshed_graph()
    digests = current.digests(tasks)
    if not digests:
        return {}
    stored = _stored(digests.values())
    new = {digest: task for task, digest in digests.items() if digest not in stored}
    if new:
        rows = [RunGraph(digest=digest, edges=current.edges(task)) for digest, task in new.items()]
        RunGraph.objects.bulk_create(rows, ignore_conflicts=True)
        stored = _stored(digests.values())
    return {task: stored[digest] for task, digest in digests.items()}


def _stored(digests: Collection[str]) -> dict[str, int]:
    return dict(RunGraph.objects.filter(digest__in=set(digests)).values_list("digest", "pk"))
