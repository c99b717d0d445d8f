"""A real installation for a test: its own database, dispatchers and clusters, on this machine."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
from django.conf import settings
from django.db import connection

ROOT = Path(settings.BASE_DIR)


class Stack:
    """Starts processes of Schedsite against the database of the test; everything it started ends with it."""

    WORKERS = 2

    def __init__(self, folder: Path, **more: str) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        self.log = (folder / "stack.log").open("ab")
        self.env = {
            **os.environ,
            "SCHEDULER_DATA_DIR": str(folder),
            "SCHEDULER_SPOOL_DIR": str(settings.SCHEDULER_SPOOL_DIR),
            "SCHEDULER_TASKS_DIR": str(settings.SCHEDULER_TASKS_DIR),
            "DATABASE_URL": _url(),
            "SCHEDULER_WORKERS": str(self.WORKERS),
            "SCHEDULER_SLOTS": "8",
            "SCHEDULER_HEARTBEAT": "0.5",
            "SCHEDULER_LEASE": "3",
            "SCHEDULER_SWEEP": "0.5",
            "SCHEDULER_GRACE": "1",
            "SECRET_KEY": settings.SECRET_KEY,  # wake-ups of the test are signed with it
            **more,
        }

    def start(
        self,
        command: str,
        *arguments: str,
        stdout: int | None = None,
        wrapper: Sequence[str] = (),
        **more: str,
    ) -> subprocess.Popen[bytes]:
        """Start `manage.py command` in a group of its own, with `more` variables in its environment.

        `wrapper` is a program with its arguments that starts it.
        """
        process = subprocess.Popen(
            [*wrapper, sys.executable, str(ROOT / "manage.py"), command, *arguments],
            env={**self.env, **more},
            stdout=self.log if stdout is None else stdout,
            stderr=self.log,
            stdin=subprocess.DEVNULL,
            process_group=0,
        )
        self.processes.append(process)
        return process

    def stop(self, process: subprocess.Popen[bytes]) -> int:
        """Stop one process in order and return its exit code."""
        process.send_signal(signal.SIGTERM)
        return process.wait(60)

    def close(self) -> None:
        """Stop everything, by force where needed."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                kill_tree(process.pid)
        self.log.close()

    def output(self) -> str:
        """Return what the processes wrote."""
        return (self.folder / "stack.log").read_text(errors="replace")


def roles(worker: subprocess.Popen[bytes]) -> dict[str, list[int]]:
    """Return the pids of a cluster by role: main, sentinel, worker, pusher, monitor."""
    found: dict[str, list[int]] = {"main": [], "sentinel": [], "worker": [], "pusher": [], "monitor": []}
    for main in _children(worker.pid):
        if "cluster" not in " ".join(_title(main)):
            continue  # what a command left behind
        found["main"].append(main.pid)
        for sentinel in _children(main.pid):
            found["sentinel"].append(sentinel.pid)
            for child in _children(sentinel.pid):
                title = " ".join(_title(child))
                role = next((name for name in ("pusher", "monitor") if name in title), "worker")
                found[role].append(child.pid)
    return found


def whole_pool(worker: subprocess.Popen[bytes]) -> list[int]:
    """Wait until all worker processes of a cluster are there and return their pids; one is kept for other jobs."""
    size = Stack.WORKERS + 1
    pids: list[int] = wait_until(
        lambda: len(found := roles(worker)["worker"]) == size and found, what=f"{size} worker processes"
    )
    return pids


def kill_cluster(worker: subprocess.Popen[bytes]) -> None:
    """Kill every process of Schedsite below `worker` and itself, but none of the commands that it runs."""
    for pid in [worker.pid, *(pid for pids in roles(worker).values() for pid in pids)]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    worker.wait()


def _children(pid: int) -> list[psutil.Process]:
    try:
        return [child for child in psutil.Process(pid).children() if "sh -c" not in " ".join(_title(child))]
    except psutil.NoSuchProcess:
        return []


def _title(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def kill_tree(pid: int) -> None:
    """Kill a process and its descendants."""
    try:
        family = [*psutil.Process(pid).children(recursive=True), psutil.Process(pid)]
    except psutil.NoSuchProcess:
        return
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue


@contextmanager
def locked_database() -> Iterator[None]:
    """Let nobody else write; on PostgreSQL nobody else even reads executions and processes."""
    if connection.vendor == "sqlite":
        with closing(sqlite3.connect(connection.settings_dict["NAME"], timeout=60)) as other:
            other.isolation_level = None
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")
        return
    with psycopg.connect(**connection.get_connection_params()) as other:
        other.execute("LOCK TABLE scheduler_execution, scheduler_process IN ACCESS EXCLUSIVE MODE")
        yield


def wait_until(condition: Callable[[], Any], *, seconds: float = 90, what: str = "the condition") -> Any:
    """Wait until `condition` returns something true and return it; fail after `seconds`."""
    end = time.monotonic() + seconds
    for _ in _ticks(end):
        found = condition()
        if found:
            return found
    raise AssertionError(f"{what} did not come about within {seconds} s")


def _ticks(end: float) -> Iterator[None]:
    while time.monotonic() < end:
        yield
        time.sleep(0.02)


def _url() -> str:
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{database['NAME']}"
    user = database["USER"] or ""
    password = f":{database['PASSWORD']}" if database["PASSWORD"] else ""
    host = f"{database['HOST'] or '127.0.0.1'}:{database['PORT'] or 5432}"
    return f"postgres://{user}{password}@{host}/{database['NAME']}"
