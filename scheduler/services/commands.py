"""The command of an execution: what the runner needs to start or adopt it, and the report on its end."""

from __future__ import annotations

import logging
import pwd
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from schedsite.private_files import started_umask
from scheduler.choices import Status
from scheduler.config_file import TaskSpec
from scheduler.config_file.secret_values import LIST
from scheduler.engine.reasons import Code, Reason
from scheduler.engine.states import reason_of_exit, status_of_exit
from scheduler.engine.times import iso
from scheduler.runner import (
    CommandSpec,
    Exit,
    LogReader,
    Pipe,
    Secrets,
    Spool,
    StartError,
    interpreter_of_task,
    own_interpreter,
    read_env_file,
    with_python,
)
from scheduler.runner.contracts import OUT
from scheduler.runner.process_table import Entry
from scheduler.services.folders import base_folder, own_folder, working_folder
from scheduler.services.log_secrets import ENV_FILE, unmasked_notes
from scheduler.services.outcomes import Claimed, LogPiece, Report

logger = logging.getLogger(__name__)

LONGEST_PREFACE = 4000  # bytes; the smallest pipe buffers 4,096 before anything reads it


def command_to_start(claimed: Claimed) -> CommandSpec:
    """Return the command of an execution.

    Raises:
        StartError: the folder, the environment file or Python is missing or unusable.
    """
    spec = claimed.spec
    try:
        cwd = working_folder(spec["task_id"], had_folder=claimed.has_folder)
        env, preface = _environment(claimed, cwd)
    except (OSError, ValueError) as error:  # such as a name too long or a folder without access
        raise StartError(Code.OTHER, text=str(error)) from error
    return CommandSpec(
        execution_id=claimed.execution_id,
        claim=claimed.claim,
        command=spec["task_exec"],
        env=env,
        cwd=cwd,
        timeout=None if spec["task_timeout"] is None else float(spec["task_timeout"]),
        grace=settings.SCHEDULER_GRACE,
        shell=spec["task_shell"],
        preface=preface,
        umask=started_umask(),
    )


def command_to_adopt(claimed: Claimed) -> CommandSpec:
    """Return the command for adopting a running execution; it lacks what only a start needs."""
    timeout = claimed.spec["task_timeout"]
    return CommandSpec(
        execution_id=claimed.execution_id,
        claim=claimed.claim,
        command=claimed.spec["task_exec"],
        env={},
        cwd=Path("/"),
        timeout=None if timeout is None else float(timeout),
        grace=settings.SCHEDULER_GRACE,
    )


def is_in_own_folder(command: CommandSpec, claimed: Claimed) -> bool:
    """Return whether a command starts in the task's own folder."""
    return command.cwd == own_folder(claimed.spec["task_id"])


def _environment(claimed: Claimed, cwd: Path) -> tuple[dict[str, str], str]:
    """Return the environment of a command, and the notes on its environment file.

    Built-in variables take precedence; then Python is put first in PATH.
    """
    spec = claimed.spec
    own = dict(spec["task_env"])
    file_name = own.pop(ENV_FILE, None)
    own.pop(LIST, None)
    base: Mapping[str, str] = settings.COMMAND_ENVIRONMENT
    from_file: Mapping[str, str] = {}
    notes: list[str] = []
    if file_name is not None:
        path = base_folder() / file_name
        file = read_env_file(path, {**own, **base})
        from_file, notes = file.values, [f"environment file {path}, {note}" for note in file.notes]
    env = {**base, **from_file, **own, **_built_in(claimed)}
    notes += unmasked_notes(spec, env)
    has_own_path = "PATH" in own or "PATH" in from_file
    return _with_python(env, spec, cwd, has_own_path=has_own_path), _preface(notes)


def _with_python(env: dict[str, str], spec: TaskSpec, cwd: Path, *, has_own_path: bool) -> dict[str, str]:
    """Put the Python of the task first in PATH; without one, that of Schedsite, unless the task sets its own PATH."""
    root = _pythons(settings.DATA_DIR)
    if spec["task_python"]:
        found = interpreter_of_task(spec["task_python"], cwd=cwd, root=root)
        return with_python(env, found.folder, found.virtual_environment)
    return env if has_own_path else with_python(env, own_interpreter(root).folder)


@lru_cache(maxsize=4)
def _pythons(data: Path) -> Path:
    """Return the folder with one subfolder per interpreter, each containing it as `python`."""
    return data / "python"


def _built_in(claimed: Claimed) -> dict[str, str]:
    at = claimed.scheduled_for
    return {
        "TASK_ID": claimed.spec["task_id"],
        "TASK_NAME": claimed.spec["task_name"],
        "EXECUTION_ID": str(claimed.execution_id),
        "RUN_ID": str(claimed.run_pk or ""),
        "SCHEDULED_FOR": iso(at) if at else "",
        "ATTEMPT": str(claimed.attempt),
    }


def _preface(notes: list[str]) -> str:
    """Return the first lines of the log: ignored lines of the environment file, and secrets that cannot be masked."""
    lines = [f"[schedsite: {note}]\n" for note in notes]
    text = "".join(lines)
    while len(text.encode()) > LONGEST_PREFACE and lines:
        lines.pop()
        text = "".join(lines) + f"[schedsite: {len(notes) - len(lines)} more of this kind]\n"
    return text


def log_reader(
    claimed: Claimed, pipe: Pipe | None, spool: Spool, secrets: Secrets, *, offset: int = 0
) -> LogReader:
    """Return the log reader of a command; output before `offset` is already stored."""
    path = spool.path(claimed.execution_id, claimed.claim, OUT)
    encoding, limit = claimed.spec["task_encoding"], settings.SCHEDULER_LOG_LIMIT
    return LogReader(path, pipe, log_limit=limit, offset=offset, encoding=encoding, secrets=secrets)


def report_of(
    claimed: Claimed,
    ended: Exit,
    *,
    now: datetime,
    stopped_for: str,
    cancel_reason: Reason | None = None,
    survivors: Collection[Entry] = (),
) -> Report:
    """Return the report on an execution whose command ended, without its log.

    Args:
        survivors: its processes that could not be killed; the task is not retried while they run.
    """
    codes = claimed.spec["task_exit_codes"]
    timed_out, cancelled = stopped_for == "timeout", stopped_for == "cancel"
    status = status_of_exit(ended.code, codes, timed_out=timed_out, cancelled=cancelled)
    if status is Status.CANCELLED:
        reason = cancel_reason
    elif status is Status.TIMEOUT:
        reason = Reason(Code.TIMED_OUT, {"seconds": claimed.spec["task_timeout"]})
    elif stopped_for == "shutdown":
        status, reason = Status.TECHNICAL_FAILURE, Reason(Code.STOPPED_WITH_WORKER)
    elif ended.code is None:
        reason = Reason(Code.COMMAND_LOST)
    else:
        reason = reason_of_exit(ended.code, codes)
    if survivors:
        left = [f"pid {entry.pid} (user {_owner(entry.pid)})" for entry in survivors]
        logger.error("execution %s: processes could not be killed: %s", claimed.execution_id, ", ".join(left))
        if reason is None:
            reason = Reason(Code.PROCESSES_LEFT, {"processes": left})
        else:
            reason = Reason(Code.PROCESSES_LEFT_AFTER, {"what": reason, "processes": left})
        claimed = replace(claimed, retries_left=0)
    return Report(claimed, status, now, ended.code, reason)


def _owner(pid: int) -> str:
    """Return the user name of a process, or the user id if it has no name."""
    try:
        uid = Path(f"/proc/{pid}").stat().st_uid
        return pwd.getpwuid(uid).pw_name
    except FileNotFoundError:
        return "unknown"
    except KeyError:
        return str(uid)


def with_last_line(report: Report, text: str) -> Report:
    """Append a message of Schedsite to the end of a log."""
    size, line = report.log_size or 0, f"\n{text}\n"
    length = len(line.encode())
    piece = LogPiece(report.claimed.execution_id, report.claimed.claim, size, length, line)
    return replace(report, log_size=size + length, pieces=[*report.pieces, piece])
