"""Bells: whoever waits for a queue of the database learns at once that something was put into it."""

from __future__ import annotations

import secrets
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.db import connection, transaction

from scheduler.processes.brokers import DatabaseWakeBroker
from scheduler.queues import bells
from scheduler.queues.bells import Listener

LONG = 30.0  # seconds; longer than any test waits

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def queue() -> str:
    return f"queue.{secrets.token_hex(4)}"


@pytest.fixture
def listener(queue: str) -> Iterator[Listener]:
    found = bells.listen("default", queue)
    assert found is not None
    yield found
    found.close()


@pytest.fixture
def broker(queue: str) -> Iterator[DatabaseWakeBroker]:
    """Return a broker that has found its queue empty, and so waits for the bell."""
    made = DatabaseWakeBroker(queue)
    assert made.dequeue() is None
    yield made
    made.close()
    made.delete_queue()


def test_a_listener_hears_what_is_put_into_its_queue(listener: Listener, queue: str) -> None:
    bells.ring("default", queue)

    assert listener.wait(LONG)
    assert not listener.wait(0.01)


def test_a_listener_hears_a_ring_for_which_it_waits_already(listener: Listener, queue: str) -> None:
    heard: list[bool] = []
    waiting = threading.Thread(target=lambda: heard.append(listener.wait(LONG)))
    waiting.start()

    bells.ring("default", queue)

    waiting.join(LONG)
    assert heard == [True]


def test_a_message_is_notified_when_its_transaction_commits(listener: Listener, queue: str) -> None:
    with transaction.atomic():
        bells.ring("default", queue)
        assert not listener.wait(0.2)

    assert listener.wait(LONG)


def test_a_message_that_is_rolled_back_is_not_notified(listener: Listener, queue: str) -> None:
    with pytest.raises(KeyError), transaction.atomic():
        bells.ring("default", queue)
        raise KeyError

    assert not listener.wait(0.2)


@pytest.mark.parametrize("other", ["queue", "queue.other", ""])
def test_a_listener_does_not_hear_another_queue(listener: Listener, other: str) -> None:
    bells.ring("default", other)

    assert not listener.wait(0.2)


def test_all_who_listen_to_a_queue_hear_a_ring(listener: Listener, queue: str) -> None:
    second = bells.listen("default", queue)
    assert second is not None

    bells.ring("default", queue)

    assert [listener.wait(LONG), second.wait(LONG)] == [True, True]
    second.close()


def test_more_rings_than_anybody_takes_are_no_error(listener: Listener, queue: str) -> None:
    for _ in range(70_000 if connection.vendor == "sqlite" else 100):  # more than a pipe holds
        bells.ring("default", queue)

    assert listener.wait(LONG)


def test_a_message_that_is_put_into_a_queue_comes_with_the_next_pull(broker: DatabaseWakeBroker) -> None:
    DatabaseWakeBroker(broker.list_key).enqueue("a message")

    assert broker.dequeue() == [(None, "a message")]


def test_a_silent_queue_is_not_asked_for_again_and_again(
    broker: DatabaseWakeBroker, django_assert_num_queries: object
) -> None:
    with django_assert_num_queries(0):  # type: ignore[operator]
        assert broker.dequeue() is None


def test_a_message_whose_bell_was_not_rung_comes_a_little_later(broker: DatabaseWakeBroker) -> None:
    super(DatabaseWakeBroker, broker).enqueue("a message")

    taken = None
    while taken is None:
        taken = broker.dequeue()
    assert taken == [(None, "a message")]


def test_the_bells_of_the_dead_are_removed(queue: str) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL knows who is connected")
    folder = Path(f"{connection.settings_dict['NAME']}-bells")
    dead = bells.listen("default", queue)
    assert isinstance(dead, bells.FifoListener)
    dead.fifo.close()
    assert [path.name.rpartition(".")[0] for path in folder.glob(f"{queue}.*")] == [queue]

    bells.ring("default", queue)

    assert list(folder.glob(f"{queue}.*")) == []


def test_a_queue_is_polled_where_no_bell_can_be_hung_up(
    queue: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL needs no folder")
    folder = Path(f"{connection.settings_dict['NAME']}-bells")
    shutil.rmtree(folder, ignore_errors=True)
    folder.write_text("no folder")
    monkeypatch.setattr(bells, "LISTEN_AGAIN", 0.0)
    try:
        broker = DatabaseWakeBroker(queue)
        assert broker.dequeue() is None

        broker.enqueue("a message")

        assert broker.dequeue() == [(None, "a message")]
        assert broker.dequeue() is None
    finally:
        folder.unlink()
    assert caplog.messages == [
        f"queue {queue} cannot be listened to; it is polled"
    ]  # once, not with each poll


def test_a_queue_that_could_not_be_listened_to_is_tried_again(
    queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL needs no folder")
    monkeypatch.setattr(bells, "TRY_AFTER_ERROR", 0.0)
    folder = Path(f"{connection.settings_dict['NAME']}-bells")
    shutil.rmtree(folder, ignore_errors=True)
    folder.write_text("no folder")
    subscription = bells.Subscription("default", queue)
    try:
        assert subscription.listener() is None
    finally:
        folder.unlink()

    listener = subscription.listener()

    assert listener is not None
    bells.ring("default", queue)
    assert listener.wait(LONG)
    subscription.close()


def test_a_listener_whose_connection_ends_is_replaced(broker: DatabaseWakeBroker) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("of PostgreSQL")
    with psycopg.connect(**connection.get_connection_params(), autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE query LIKE 'LISTEN%' AND datname = current_database()"
        )

    broker.enqueue("a message")

    taken = None
    while taken is None:
        taken = broker.dequeue()
    assert taken == [(None, "a message")]


def test_a_listener_that_does_not_hear_itself_is_not_used(queue: str) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("of PostgreSQL, behind a pooler of transactions")
    deaf = bells.PostgreSQLListener("default", queue)
    deaf.connection.execute("UNLISTEN *")

    assert bells.hearing(deaf, "default") is None
