"""Database and queue stand still, break connections or forget: nothing is lost, and work goes on by itself."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from django.db import connection

from tests.conftest import is_required
from tests.faults.ledger import TASKS, check_history, ledger_tasks, stop_ticking, wait_for_successes
from tests.stack import Stack, locked_database, wait_until

LONGER_THAN_ANYONE_WAITS = 25  # seconds; SQLite gives up after 20


def start_all(stack: Stack, make_task: Any, folder: Path) -> Path:
    """Start two dispatchers and two clusters on tasks that fire each second; return their ledger."""
    ledger = ledger_tasks(make_task, folder)
    for command in ("dispatcher", "dispatcher", "worker", "worker"):
        stack.start(command)
    wait_for_successes(TASKS, what="the first successes")
    return ledger


def end_all(ledger: Path) -> None:
    """Wait until work goes on, then end it and compare history and ledger."""
    wait_for_successes(3 * TASKS, what="work after the fault")
    stop_ticking()
    check_history(ledger)


@pytest.mark.proves("G20")
@pytest.mark.parametrize("seconds", [8, pytest.param(LONGER_THAN_ANYONE_WAITS, marks=pytest.mark.campaign)])
def test_outcomes_wait_while_the_database_is_locked(
    stack: Stack, make_task: Any, tmp_path: Path, seconds: float
) -> None:
    ledger = start_all(stack, make_task, tmp_path)

    with locked_database():
        time.sleep(seconds)

    end_all(ledger)


@pytest.mark.postgres
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no connections that break")
@pytest.mark.parametrize("rounds", [5, pytest.param(60, marks=pytest.mark.campaign)])
def test_broken_connections_to_the_database_heal(
    stack: Stack, make_task: Any, tmp_path: Path, rounds: int
) -> None:
    ledger = start_all(stack, make_task, tmp_path)

    with connection.cursor() as cursor:
        for number in range(rounds):
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            time.sleep(0.15 + 0.1 * (number % 5))  # not in step with anything

    end_all(ledger)


class RedisServer:
    """A Redis of the test's own, without persistence."""

    def __init__(self) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = redis.Redis(port=self.port)
        self.start()

    def start(self) -> None:
        options = ["--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
        wait_until(self.answers, what="an answer of Redis")

    def answers(self) -> bool:
        with suppress(redis.ConnectionError):
            return bool(self.client.ping())
        return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        self.kill()
        time.sleep(2)
        self.start()

    def forget(self) -> None:
        self.client.flushall()


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    if shutil.which("redis-server") is None:
        if is_required("redis-server"):
            pytest.fail("redis-server is not installed")
        pytest.skip("redis-server is not installed")
    server = RedisServer()
    yield server
    server.kill()


@pytest.mark.proves("G20")
@pytest.mark.campaign
@pytest.mark.parametrize("fault", [RedisServer.forget, RedisServer.restart])
def test_a_queue_that_forgets_or_goes_away_loses_nothing(
    stack: Stack,
    make_task: Any,
    tmp_path: Path,
    redis_server: RedisServer,
    fault: Callable[[RedisServer], None],
) -> None:
    stack.env["REDIS_URL"] = redis_server.url
    ledger = start_all(stack, make_task, tmp_path)

    for _round in range(5):
        fault(redis_server)
        wait_for_successes(TASKS, what="work after the fault of Redis")

    end_all(ledger)
