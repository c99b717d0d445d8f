"""A sender is killed after the other side took a message and before that is recorded: it arrives, and can be told."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connections

from notifications.models import Delivery
from notifications.services.send_threads import send_due
from scheduler import failpoints
from tests.notify import announce_all, outcomes
from tests.sinks import PATIENCE, Mailbox, Sink, answer, mail_server

pytestmark = pytest.mark.django_db(transaction=True)

LATER = datetime.max.replace(tzinfo=UTC)


class Nursery:
    """A process that has loaded everything and has no threads: each of its children sends what is due."""

    def __init__(self) -> None:
        connections.close_all()  # a connection must not be shared with a child
        context = multiprocessing.get_context("fork")
        self._pipe, theirs = context.Pipe()
        self.process = context.Process(target=self._serve, args=(theirs,), daemon=True)
        self.process.start()

    def send(self, *, crash_at: str, mail_port: int) -> int:
        """Let a new process send what is due; return how it ended, a signal as a negative number."""
        self._pipe.send((crash_at, mail_port))
        assert self._pipe.poll(PATIENCE), "a sender hangs"
        return int(self._pipe.recv())

    @staticmethod
    def _serve(pipe: Connection) -> None:
        while True:
            crash_at, mail_port = pipe.recv()
            pid = os.fork()
            if pid == 0:
                django_settings.EMAIL_HOST, django_settings.EMAIL_PORT = "127.0.0.1", mail_port
                failpoints._wanted, failpoints._left = crash_at, 1
                send_due()
                os._exit(0)
            pipe.send(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


@contextmanager
def nursery() -> Iterator[Nursery]:
    """Run a nursery for the time of the context."""
    made = Nursery()
    try:
        yield made
    finally:
        made.process.kill()
        made.process.join()


@pytest.mark.proves("G14")
@pytest.mark.parametrize("kills", [6, pytest.param(100, marks=pytest.mark.campaign)])
def test_every_message_arrives_however_often_its_sender_is_killed(
    make_task: Any, settings: Any, kills: int
) -> None:
    settings.EMAIL_BACKEND = "notifications.channels.email.smtp.EmailBackend"
    settings.SCHEDULER_WEBHOOK_ALLOW = ["127.0.0.1"]
    settings.SCHEDULER_NOTIFY_HOURLY_LIMIT = kills
    box = Mailbox()
    with nursery() as senders, Sink(answer("200 OK", body=b"noted")) as sink, mail_server(box) as port:
        channels = [
            {"type": "email", "recipients": ["ops@example.org"]},
            {"type": "webhook", "url": sink.url},
        ]
        task = make_task("bad", task_notify=[{"triggers": ["technical_failure"], "channels": channels}])
        announce_all(outcomes(task, "F" * (kills // 2)))
        Delivery.objects.update(next_attempt_at=LATER)

        for delivery in Delivery.objects.order_by("pk"):
            Delivery.objects.filter(pk=delivery.pk).update(next_attempt_at=datetime.now(UTC))
            assert senders.send(crash_at="send.after", mail_port=port) == -signal.SIGKILL
            delivery.refresh_from_db()
            assert (delivery.state, delivery.attempts) == ("sending", 1)
            # Its lease ends only when all have died: each death concerns one message.
            Delivery.objects.filter(pk=delivery.pk).update(next_attempt_at=LATER)
        Delivery.objects.update(next_attempt_at=datetime.now(UTC))
        assert senders.send(crash_at="", mail_port=port) == 0
        requests = [sink.next() for _ in range(sink.received.qsize())]

    bodies = defaultdict(set)
    for request in requests:
        bodies[request.header("Idempotency-Key")].add(request.body)
    mails = Counter(mail["Message-ID"] for _recipients, mail in box.mails)
    print(
        f"{kills} kills: {len(requests)} requests with {len(bodies)} keys, "
        f"{len(box.mails)} mails with {len(mails)} ids"
    )
    assert set(Delivery.objects.values_list("state", "attempts")) == {("sent", 2)}
    assert set(bodies) == set(Delivery.objects.filter(kind="webhook").values_list("key", flat=True))
    assert all(len(same) == 1 for same in bodies.values())
    assert len(mails) == kills // 2
    assert len(requests) + len(box.mails) - kills <= kills
