"""Execution of single commands: start, watch, stop, read the output, and adopt from a dead worker.

Independent of Django. A command runs in its own session and writes to a pipe that several processes can read; its shell
publishes its exit code in the spool, so that any process of this host can determine the result.
"""

from scheduler.runner.command import (
    CommandSpec,
    Exit,
    NeverStarted,
    RunningCommand,
    adopt,
)
from scheduler.runner.contracts import MARKER, Note
from scheduler.runner.env_file import read_env_file
from scheduler.runner.environment import command_environment, with_python
from scheduler.runner.interpreters import interpreter_of_task, own_interpreter
from scheduler.runner.masking import Secrets, secrets_of
from scheduler.runner.output import Chunk, LogReader, Pump
from scheduler.runner.pipes import Pipe, Pipes, hand_ends_to, is_keeper_there, open_pipes
from scheduler.runner.spool import Spool
from scheduler.runner.starting import StartError, let_commands_be_interrupted, start

__all__ = [
    "MARKER",
    "Chunk",
    "CommandSpec",
    "Exit",
    "LogReader",
    "NeverStarted",
    "Note",
    "Pipe",
    "Pipes",
    "Pump",
    "RunningCommand",
    "Secrets",
    "Spool",
    "StartError",
    "adopt",
    "command_environment",
    "hand_ends_to",
    "interpreter_of_task",
    "is_keeper_there",
    "let_commands_be_interrupted",
    "open_pipes",
    "own_interpreter",
    "read_env_file",
    "secrets_of",
    "start",
    "with_python",
]
