"""The dependency graph: of all tasks, of a tag, or around one task."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from scheduler.charts import Node, graph_chart
from scheduler.choices import Status
from scheduler.engine.graphs import Edge, bounded
from scheduler.engine.zones import display_zone
from scheduler.models import Execution, Task
from scheduler.selectors.graphs import GraphNode, current_graph, graph_nodes, unconnected_tasks
from scheduler.selectors.tasks import find_tasks
from scheduler.views.frame import choice, live_part, now, page, query, require, text_of, whole_number
from scheduler.views.tasks import tag_links
from scheduler.wording.times import exact_instant, since_instant

MOST_TASKS = 510
MOST_ALONE = 200
MOST_FOUND = 20
DEPTHS = (1, 2, 3)
WAYS = ("up", "down")


@dataclass(frozen=True)
class Asked:
    """The requested view; `around` is a task, `depth` 0 means unlimited, `way` "" means both directions."""

    tag: str
    around: Task | None
    way: str
    depth: int

    def link(self, **changes: object) -> str:
        """Return the query string of this view with changes."""
        task_id = self.around.task_id if self.around else ""
        kept = {"tag": self.tag, "around": task_id, "way": self.way, "depth": self.depth or ""}
        return query(**{**kept, **changes})


def graph(request: HttpRequest) -> HttpResponse:
    """Show the dependency graph."""
    require(request, "view_task", "view_execution")
    text = text_of(request, "around", 100)
    found = _named(text)
    asked = Asked(
        tag=text_of(request, "tag", 64),
        around=found[0] if len(found) == 1 else None,
        way=choice(request, "way", WAYS),
        depth=whole_number(request, "depth", 0, least=0, most=DEPTHS[-1]),
    )
    shown = _shown(asked)
    frame, digest = _frame(request, asked, shown)
    if request.GET.get("seen") is not None:
        return HttpResponse(status=204) if request.GET["seen"] == digest else HttpResponse(frame)
    alone = [] if asked.around else list(_alone(asked.tag).values_list("pk", flat=True)[: MOST_ALONE + 1])
    context = {
        "title": _("Graph"),
        "frame": frame,
        "asked": asked,
        "text": text,
        "found": [(task, asked.link(around=task.task_id)) for task in found] if len(found) > 1 else [],
        "is_unknown": bool(text) and not found,
        "tags": tag_links(asked.tag, {} if asked.around is None else {"around": text}),
        "depths": [(depth, asked.link(depth=depth or ""), depth == asked.depth) for depth in (*DEPTHS, 0)],
        "ways": [(way, asked.link(way=way), way == asked.way) for way in ("", *WAYS)],
        "everything": reverse("admin:scheduler_graph"),
        "alone": graph_nodes(alone[:MOST_ALONE]),
        "is_alone_cut": len(alone) > MOST_ALONE,
        "most_alone": MOST_ALONE,
        "shown": shown,
        "has_tasks": bool(shown.pks or alone),
    }
    return page(request, "scheduler/graph.html", context)


def _named(text: str) -> list[Task]:
    """Return the task with that id, or else those whose id or name contains the text."""
    if not text:
        return []
    exact = list(Task.objects.filter(task_id=text))
    if exact:
        return exact
    rows = find_tasks(is_enabled=None, tag=None, text=text, statuses=())
    return list(rows.order_by("task_id")[:MOST_FOUND])


@dataclass(frozen=True)
class Shown:
    """The tasks to draw.

    Attributes:
        outside: tasks without the tag that are drawn because they are linked to one with it.
        total: number of tasks without the limit.
    """

    pks: Collection[int]
    edges: Sequence[Edge]
    outside: Collection[int]
    total: int

    @property
    def is_cut(self) -> bool:
        """Whether the limit was exceeded."""
        return self.total > len(self.pks)


def _shown(asked: Asked) -> Shown:
    graph = current_graph()
    edges = graph.edges()
    outside: set[int] = set()
    first: int | None = None
    if asked.around is not None:
        first = asked.around.pk
        steps = asked.depth or None
        up, down = (0 if asked.way == "down" else steps), (0 if asked.way == "up" else steps)
        wanted = graph.around(first, up=up, down=down)
    else:
        wanted = {pk for edge in edges for pk in edge}
    if asked.tag:
        tagged = set(Task.objects.tagged(asked.tag).values_list("pk", flat=True)) & wanted
        near = {pk for edge in edges if tagged & set(edge) for pk in edge} & wanted
        outside, wanted = near - tagged, near
    edges = [edge for edge in edges if edge[0] in wanted and edge[1] in wanted]
    return Shown(bounded(wanted, edges, MOST_TASKS, first=first), edges, outside, len(wanted))


def _frame(request: HttpRequest, asked: Asked, shown: Shown) -> tuple[str, str]:
    """Return the self-refreshing graph."""
    current = asked.around.pk if asked.around else None
    chart = task_graph(shown.pks, shown.edges, now(), current=current, outside=shown.outside)
    body, digest = live_part(request, "scheduler/_graph.html", {"chart": chart})
    url = reverse("admin:scheduler_graph") + asked.link(seen=digest)
    frame = {"id": "graph", "url": url, "body": body, "every": 10}
    return render_to_string("scheduler/_live.html", frame), digest


def task_graph(
    pks: Collection[int],
    edges: Sequence[Edge],
    present: datetime,
    *,
    current: int | None = None,
    outside: Collection[int] = (),
) -> SafeString:
    """Return the graph of tasks with their latest outcomes; three queries, plus one per thousand tasks."""
    running = set(Execution.objects.running().filter(task__in=pks).values_list("task_id", flat=True))
    rows = graph_nodes(pks)
    # Times of different zones appear side by side: without the zone, a downstream would seem to run first.
    tells_zone = len({row.zone for row in rows if row.finished_at is not None}) > 1
    nodes = [
        _node(
            row,
            present,
            is_running=row.pk in running,
            is_outside=row.pk in outside,
            current=current,
            tells_zone=tells_zone,
        )
        for row in rows
    ]
    return graph_chart(nodes, edges, label=_("Tasks and their dependencies")) if nodes else SafeString("")


def _node(
    node: GraphNode,
    present: datetime,
    *,
    is_running: bool,
    is_outside: bool,
    current: int | None,
    tells_zone: bool,
) -> Node:
    word = str(Status(node.status).label) if node.status else _("Never ran")
    note = [word]
    if node.finished_at is not None:
        zone = f" {node.finished_at.astimezone(display_zone(node.zone)):%Z}" if tells_zone else ""
        note.append(since_instant(node.finished_at, node.zone, present) + zone)
    title = [node.name, node.task_id, word]
    if node.finished_at is not None:
        title.append(exact_instant(node.finished_at, node.zone))
    traits = []
    for name, holds, words in (
        ("current", node.pk == current, ""),
        ("running", is_running, _("Running")),
        ("off", not node.enabled, _("Paused")),
        ("outside", is_outside, _("does not carry the tag")),
    ):
        if holds:
            traits.append(name)
            title += [words] if words else []
    if is_running:
        note = [_("Running")]
    elif not node.enabled:
        note[1:] = [_("paused")]
    return Node(
        key=node.pk,
        name=node.name,
        status=node.status or "none",
        note=" · ".join(note),
        title=" · ".join(title),
        href=reverse("admin:scheduler_task_page", args=[node.pk]),
        traits=tuple(traits),
    )


def _alone(tag: str) -> Any:
    rows: Any = unconnected_tasks()
    return rows.tagged(tag) if tag else rows
