"""A believable installation: what tasks it has and what happened to them. Pure; `services.demonstration` writes it.

The same seed, instant and options always give the same history.
"""

from scheduler.demonstration.history import DemoExecution, demo_history, demo_log
from scheduler.demonstration.scripts import demo_script
from scheduler.demonstration.tasks import DemoTask, demo_tasks

__all__ = ["DemoExecution", "DemoTask", "demo_history", "demo_log", "demo_script", "demo_tasks"]
