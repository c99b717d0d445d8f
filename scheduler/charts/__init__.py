"""Charts as SVG. Pure: numbers, instants and texts in, markup out; colours come from classes of the style sheet."""

from scheduler.charts.day import Bucket, day_strip
from scheduler.charts.durations import Point, duration_chart
from scheduler.charts.gantt import Attempt, GanttLane, gantt_chart
from scheduler.charts.graph import Node, graph_chart
from scheduler.charts.heat import Cell, heat_map
from scheduler.charts.lanes import Lane, Mark, lanes_chart
from scheduler.charts.strip import Bar, outcome_strip

__all__ = [
    "Attempt",
    "Bar",
    "Bucket",
    "Cell",
    "GanttLane",
    "Lane",
    "Mark",
    "Node",
    "Point",
    "day_strip",
    "duration_chart",
    "gantt_chart",
    "graph_chart",
    "heat_map",
    "lanes_chart",
    "outcome_strip",
]
