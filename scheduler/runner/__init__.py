"""One command: start it, watch it, stop it, read its spool, and take it over from a worker that died.

Knows no Django. A command runs in its own session with its output in a spool file; its shell publishes that it
began and how it ended beside it, so that any process of this host can learn what became of it.
"""

from scheduler.runner.command import (
    CommandSpec,
    Exit,
    NeverStarted,
    RunningCommand,
    StartError,
    adopt,
    command_environment,
    published_exit,
    start,
)
from scheduler.runner.output import Chunk, LogReader
from scheduler.runner.process_table import MARKER
from scheduler.runner.spool import Spool

__all__ = [
    "MARKER",
    "Chunk",
    "CommandSpec",
    "Exit",
    "LogReader",
    "NeverStarted",
    "RunningCommand",
    "Spool",
    "StartError",
    "adopt",
    "command_environment",
    "published_exit",
    "start",
]
