"""Sending: at least once, within a deadline, tried again, and never lost."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.urls import reverse

from notifications.exceptions import SendError
from notifications.messages.default_texts import texts_for
from notifications.models import Delivery, NotificationRule, RuleChannel
from notifications.services import attempts, send_threads, wake
from notifications.services.facts import OVERVIEW, PAGE, facts_of
from notifications.services.pruning import prune_deliveries
from notifications.services.send_threads import Sender, send_due, wait_after
from scheduler.models import Execution, ExecutionLog, Process
from scheduler.services.pruning import prune
from tests.conftest import NOON
from tests.notify import LETTERS, NotebookChannel, announce_all, finish_all, outcomes, rule
from tests.support.cases import each_case

pytestmark = pytest.mark.django_db


class Clock:
    """Shows the time it is set to: at first an hour from now, so that what a test writes is due, however slow it is."""

    def __init__(self) -> None:
        self.now = datetime.now(NOON.tzinfo) + timedelta(hours=1)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def delivery(make_task: Any, notebook: NotebookChannel) -> Delivery:
    """Return a delivery that is due."""
    finish_all(make_task("a", task_notify=[rule("technical_failure", name="ops")]), "F")
    return Delivery.objects.get()


# --- attempts ---------------------------------------------------------------------------------------


def test_the_wait_doubles_up_to_an_hour_and_is_spread() -> None:
    assert [wait_after(n) for n in (1, 2, 3, 8, 9, 5000)] == [30, 60, 120, 3600, 3600, 3600]
    assert (wait_after(1, chance=0), wait_after(1, chance=1)) == (24, 36)
    assert wait_after(1, retry_after=600) == 600
    assert wait_after(9, retry_after=1) == 3600
    assert wait_after(1, retry_after=10**9) == 86_400


def test_a_failed_attempt_is_repeated_with_the_same_key_and_content(
    delivery: Delivery, notebook: NotebookChannel, clock: Clock
) -> None:
    notebook.answers = [SendError("503 of the server")]

    send_due(clock=clock)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts, delivery.reason) == ("pending", 1, "503 of the server")
    assert delivery.next_attempt_at is not None
    assert timedelta(seconds=24) <= delivery.next_attempt_at - clock.now <= timedelta(seconds=36)
    send_due(clock=clock)
    assert len(notebook.sent) == 1
    clock.forward(36)
    Execution.objects.update(exit_code=99)
    send_due(clock=clock)

    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts, delivery.reason) == ("sent", 2, "")
    assert delivery.sent_at == clock.now
    assert notebook.sent[0] == notebook.sent[1]


@pytest.mark.parametrize("is_taken", [True, False])
def test_what_receivers_repeat_of_a_secret_is_masked(
    make_task: Any, notebook: NotebookChannel, clock: Clock, is_taken: bool
) -> None:
    hook = {"type": "webhook", "url": "https://hooks.example.org/a", "secret": "canary-signing-key"}
    finish_all(
        make_task("keeper", task_notify=[{"triggers": ["technical_failure"], "channels": [hook]}]), "F"
    )
    said = "you sent canary-signing-key to me"
    notebook.answers = [said if is_taken else SendError(said, is_permanent=True)]

    send_due(clock=clock)

    delivery = Delivery.objects.get()
    assert delivery.state == ("sent" if is_taken else "failed")
    assert (delivery.response if is_taken else delivery.reason) == "you sent *** to me"


def test_retry_after_is_honoured(delivery: Delivery, notebook: NotebookChannel, clock: Clock) -> None:
    notebook.answers = [SendError("429", retry_after=1800)]

    send_due(clock=clock)

    delivery.refresh_from_db()
    assert delivery.next_attempt_at == clock.now + timedelta(seconds=1800)


def test_after_the_last_attempt_it_has_failed(
    delivery: Delivery, notebook: NotebookChannel, clock: Clock, settings: Any
) -> None:
    settings.SCHEDULER_NOTIFY_ATTEMPTS = 3
    notebook.answers = [SendError(f"no {n}") for n in range(5)]

    for _ in range(5):
        send_due(clock=clock)
        clock.forward(3600)

    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts, delivery.reason) == ("failed", 3, "no 2")
    assert delivery.next_attempt_at is None
    assert len(notebook.sent) == 3


def test_a_permanent_error_is_not_repeated(
    delivery: Delivery, notebook: NotebookChannel, clock: Clock
) -> None:
    notebook.answers = [SendError("410 gone", is_permanent=True)]

    send_due(clock=clock)

    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts, delivery.reason) == ("failed", 1, "410 gone")


def test_what_is_left_of_a_message_is_what_is_sent_next(
    delivery: Delivery, notebook: NotebookChannel, clock: Clock
) -> None:
    notebook.answers = [SendError("half of it", content={"rest": 1})]

    send_due(clock=clock)
    clock.forward(60)
    send_due(clock=clock)

    assert notebook.sent[1][1] == {"rest": 1}


def test_an_unknown_error_is_recorded_without_its_text(
    delivery: Delivery, notebook: NotebookChannel, clock: Clock
) -> None:
    notebook.answers = [RuntimeError("token=hush")]

    send_due(clock=clock)

    delivery.refresh_from_db()
    assert delivery.state == "pending"
    assert delivery.reason == "the channel failed unexpectedly (RuntimeError); see the server log"


def test_a_message_that_cannot_be_composed_has_failed(
    delivery: Delivery, notebook: NotebookChannel, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    def compose(*_args: Any) -> Any:
        raise ValueError("the body template is not a JSON document")

    monkeypatch.setattr(notebook, "compose", compose)

    send_due(clock=clock)

    delivery.refresh_from_db()
    assert delivery.state == "failed"
    assert delivery.reason == (
        "the message cannot be composed: ValueError: the body template is not a JSON document"
    )


def test_the_deliveries_of_a_removed_rule_stay_and_say_so(delivery: Delivery, clock: Clock) -> None:
    NotificationRule.objects.all().delete()

    send_due(clock=clock)

    delivery.refresh_from_db()
    assert (delivery.state, delivery.reason) == ("failed", "its channel was removed")
    assert (delivery.rule, delivery.rule_name, delivery.kind) == (None, "ops", "webhook")


# --- hanging ----------------------------------------------------------------------------------------


def test_a_send_that_does_not_return_is_given_up_and_its_thread_counts(
    delivery: Delivery, notebook: NotebookChannel, clock: Clock, settings: Any, monkeypatch: Any
) -> None:
    settings.SCHEDULER_NOTIFY_DEADLINE = 0.05
    monkeypatch.setattr(attempts, "GRACE", 0.05)
    release = threading.Event()
    notebook.answers = [release.wait]

    send_due(clock=clock)

    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts, delivery.reason) == ("pending", 1, "no response within 0.05 s")
    [stuck] = attempts.abandoned("webhook")
    release.set()
    stuck._thread.join(10)
    assert attempts.abandoned("webhook") == []
    delivery.refresh_from_db()
    assert delivery.state == "pending"


def test_threads_of_a_kind_are_limited_and_other_kinds_go_on(
    make_task: Any, notebook: NotebookChannel, clock: Clock, settings: Any, monkeypatch: Any
) -> None:
    from notifications.channels.registry import REGISTRY

    mail = NotebookChannel("email")
    monkeypatch.setitem(REGISTRY, "email", mail)
    settings.SCHEDULER_NOTIFY_DEADLINE = 0.05
    monkeypatch.setattr(attempts, "GRACE", 0.05)
    release = threading.Event()
    notebook.answers = [release.wait] * 100
    for number in range(12):
        url = f"https://{number}.example.org/"
        finish_all(make_task(f"t{number}", task_notify=[rule("technical_failure", url=url)]), "F")
    by_mail = {
        "triggers": ["technical_failure"],
        "channels": [{"type": "email", "recipients": ["a@example.org"]}],
    }
    finish_all(make_task("m", task_notify=[by_mail]), "F")

    send_due(clock=clock)

    stuck = attempts.abandoned("webhook")
    assert (len(stuck), len(notebook.sent), len(mail.sent)) == (attempts.PER_KIND, attempts.PER_KIND, 1)
    release.set()
    for attempt in stuck:
        attempt._thread.join(10)
    send_due(clock=clock)
    assert len(notebook.sent) == 12


def test_a_target_gets_at_most_two_at_a_time(make_task: Any, notebook: NotebookChannel, clock: Clock) -> None:
    most, lock, flying = [0], threading.Lock(), [0]
    both = threading.Barrier(2)

    def count() -> str:
        with lock:
            flying[0] += 1
            most[0] = max(most[0], flying[0])
        both.wait(10)
        with lock:
            flying[0] -= 1
        return "ok"

    notebook.answers = [count] * 6
    announce_all(outcomes(make_task("a", task_notify=[rule("technical_failure")]), "FFFFFF"))

    send_due(clock=clock)

    assert (most[0], len(notebook.sent)) == (2, 6)


def test_what_had_no_room_is_sent_before_the_sender_ends(
    make_task: Any, notebook: NotebookChannel, clock: Clock
) -> None:
    """All that flies may end in one step; what waited for its room is still due then."""
    announce_all(outcomes(make_task("a", task_notify=[rule("technical_failure")]), "F" * 20))

    send_due(clock=clock)

    assert len(notebook.sent) == 20


# --- crashes ----------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_database_that_fails_when_a_message_is_recorded_does_not_repeat_it(
    delivery: Delivery, notebook: NotebookChannel, clock: Clock
) -> None:
    failures = [OperationalError("the connection is lost")]

    def fail_once(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if failures and "sent" in (params or ()):
            raise failures.pop()
        return execute(sql, params, many, context)

    with connection.execute_wrapper(fail_once):
        send_due(clock=clock)

    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts, len(notebook.sent), failures) == ("sent", 1, 1, [])


def test_a_sender_that_died_between_send_and_record_is_repeated_with_the_same_key(
    delivery: Delivery, notebook: NotebookChannel, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Died(BaseException):
        """The process is gone."""

    def die(*_args: Any, **_kwargs: Any) -> None:
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(send_threads, "record", die)
        with pytest.raises(Died):
            send_due(clock=clock)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == ("sending", 1)

    send_due(clock=clock)
    assert len(notebook.sent) == 1
    clock.forward(15 + send_threads.LEASE_MARGIN)
    assert send_threads.has_due(clock.now)
    send_due(clock=clock)

    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == ("sent", 2)
    assert [key for key, _content in notebook.sent] == [delivery.key] * 2


def test_who_lost_a_claim_records_nothing(delivery: Delivery, clock: Clock) -> None:
    [mine] = Delivery.objects.take(
        [delivery.pk], claim="mine", now=clock.now, until=clock.now + timedelta(seconds=1)
    )
    clock.forward(2)
    [theirs] = Delivery.objects.take(
        [delivery.pk], claim="theirs", now=clock.now, until=clock.now + timedelta(seconds=30)
    )

    assert not send_threads.record(mine, attempts.Result(False, "late"), now=clock.now)
    assert send_threads.record(theirs, attempts.Result(True, "ok"), now=clock.now)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts, delivery.response) == ("sent", 2, "ok")


def test_a_sender_that_is_told_to_stop_hands_back_what_hangs(
    delivery: Delivery, notebook: NotebookChannel, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send_threads, "STOP_WAIT", 0.05)
    release, begun = threading.Event(), threading.Event()

    def hang() -> str:
        begun.set()
        release.wait(30)
        return "late"

    notebook.answers = [hang]

    Sender(clock=clock, should_stop=begun.is_set, idle_seconds=0).run()

    delivery.refresh_from_db()
    assert (delivery.state, delivery.next_attempt_at) == ("pending", clock.now)
    assert delivery.reason == "the worker stopped before a response arrived"
    [stuck] = attempts.abandoned("webhook")
    release.set()
    stuck._thread.join(10)


def test_first_attempts_come_before_repetitions(
    make_task: Any, notebook: NotebookChannel, clock: Clock
) -> None:
    announce_all(outcomes(make_task("a", task_notify=[rule("technical_failure")]), "FFF"))
    first, second, _third = Delivery.objects.order_by("pk")
    Delivery.objects.filter(pk__in=[first.pk, second.pk]).update(attempts=3)

    assert [row.attempts for row in Delivery.objects.due(clock.now)] == [0, 3, 3]


# --- waking -----------------------------------------------------------------------------------------


def test_a_sender_is_woken_once_in_a_cluster_that_is_alive(
    make_task: Any,
    notebook: NotebookChannel,
    django_capture_on_commit_callbacks: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from django_q.brokers import get_broker

    from scheduler.services.heartbeats import register

    monkeypatch.setattr(wake, "MIN_WAKE_INTERVAL", 60.0)  # however slow the machine is
    now = datetime.now(NOON.tzinfo)
    queue = f"gpu-{now:%H%M%S%f}"  # Redis keeps messages longer than a test
    register(Process.Kind.CLUSTER, host_id="h", queue=queue, slots=1, now=now)
    task = make_task("a", task_notify=[rule("technical_failure")])

    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        finish_all(task, "FF")
    wake.wake_sender()

    assert get_broker(queue).queue_size() == 1


# --- what a message tells ---------------------------------------------------------------------------


def test_every_name_has_its_value(make_task: Any, settings: Any) -> None:
    settings.SITE_URL = "https://jobs.example.org"
    task = make_task(
        "a",
        task_name="Nightly 备份",
        task_timezone="Asia/Shanghai",
        task_notify=[rule("technical_failure", name="ops", threshold=2)],
    )
    [_first, last] = finish_all(task, "FF", exit_code=3, reason="exit code 3", scheduled_for=NOON)
    Execution.objects.filter(pk=last.pk).update(started_at=NOON - timedelta(seconds=90.5), attempt=2)
    text = "".join(f"line {number}\n" for number in range(70))
    ExecutionLog.objects.create(execution=last, offset=0, size=len(text), text=text)

    values = facts_of(Delivery.objects.get()).values

    assert values == {
        "task_id": "a",
        "task_name": "Nightly 备份",
        "execution_status": "technical_failure",
        "execution_start_time": "2026-06-01 19:58:29 +08:00",
        "execution_end_time": "2026-06-01 20:01:00 +08:00",
        "execution_duration": 150.5,
        "threshold_count": 2,
        "execution_log_tail": "\n".join(f"line {number}" for number in range(20, 70)),
        "execution_id": last.pk,
        "execution_url": f"https://jobs.example.org/admin/scheduler/execution/{last.pk}/change/",
        "exit_code": 3,
        "attempt": 2,
        "reason": "exit code 3",
        "scheduled_for": "2026-06-01 20:00:00 +08:00",
        "run_id": None,
        "rule_name": "ops",
    }


def test_messages_link_to_the_pages_that_the_routes_have() -> None:
    for model in ("task", "execution"):
        assert PAGE.format(model=model, pk=7) == reverse(f"admin:scheduler_{model}_change", args=[7])
    assert reverse("admin:index") == OVERVIEW


def test_the_tail_of_a_log_is_bounded(make_task: Any) -> None:
    task = make_task("a", task_notify=[rule("technical_failure")])
    [execution] = finish_all(task, "F")
    text = "é" * 30_000
    ExecutionLog.objects.create(execution=execution, offset=0, size=60_000, text=text)

    tail = facts_of(Delivery.objects.get()).values["execution_log_tail"]

    assert tail == "é" * 2048


def test_the_tail_is_what_the_page_shows(make_task: Any) -> None:
    task = make_task("a", task_notify=[rule("technical_failure")])
    [execution] = finish_all(task, "F")
    bar = "".join(f"\r\x1b[32m{number} %\x1b[0m" for number in range(3_000))
    text = f"begin\n{bar}\r\nNo space left on device\r\n"
    ExecutionLog.objects.create(execution=execution, offset=0, size=len(text), text=text)

    tail = facts_of(Delivery.objects.get()).values["execution_log_tail"]

    assert len(text) > 40_000
    assert tail == "begin\n2999 %\nNo space left on device"


def test_a_recovery_says_after_how_many_failures(make_task: Any, settings: Any) -> None:
    task = make_task("a", task_notify=[rule("technical_failure", "recovered", threshold=2)])
    finish_all(task, "FFFS")

    facts = facts_of(Delivery.objects.get(event="recovered"))

    assert (facts.event, facts.language) == ("recovered", "en")
    assert (facts.values["threshold_count"], facts.values["reason"]) == (3, "After 3 failures in a row.")


@each_case(
    ("triggers", "letters", "english", "chinese"),
    [
        ("F", "FFFS", "After 3 failures in a row.", "此前连续失败 3 次。"),
        ("F", "FS", "After a failure.", "此前失败 1 次。"),
        ("F", "SFFBFS", "After 4 failures in a row.", "此前连续失败 4 次。"),
        ("F", "FKFS", "After 2 failures in a row.", "此前连续失败 2 次。"),
        ("K", "KKS", "After 2 outcomes in a row without success.", "此前连续 2 次未成功。"),
        ("K", "KS", "After an outcome without success.", "此前有 1 次未成功。"),
    ],
)
def test_a_recovery_counts_what_came_before_it(
    make_task: Any, settings: Any, triggers: str, letters: str, english: str, chinese: str
) -> None:
    settings.SCHEDULER_NOTIFY_LANGUAGE = "en"
    words = [LETTERS[letter].value for letter in triggers]
    task = make_task("a", task_notify=[rule(*words, "recovered")])
    finish_all(task, letters)
    delivery = Delivery.objects.get(event="recovered")

    assert facts_of(delivery).values["reason"] == english
    settings.SCHEDULER_NOTIFY_LANGUAGE = "zh-hans"
    assert facts_of(delivery).values["reason"] == chinese


def test_a_recovery_after_a_missed_deadline_counts_no_failure(make_task: Any) -> None:
    task = make_task("a", task_notify=[rule("recovered", "overdue")])
    finish_all(task, "S")
    [hook] = RuleChannel.objects.all()
    Delivery.objects.create(
        rule=hook.rule, channel=hook, kind="webhook", target=hook.target, task=task, event="overdue",
        occasion="deadline", state="sent", occurred_at=NOON + timedelta(minutes=1), created_at=NOON,
    )  # fmt: skip
    finish_all(task, "S", begin=NOON + timedelta(minutes=2))

    reason = facts_of(Delivery.objects.get(event="recovered")).values["reason"]

    assert reason == "The first success after an alert."


@pytest.mark.parametrize(("threshold", "stored"), [(1, (None, None)), (3, (3, 1))])
def test_a_message_counts_its_own_event_and_the_outcomes_of_the_rule(
    make_task: Any, threshold: int, stored: tuple[int | None, int | None]
) -> None:
    task = make_task("a", task_notify=[rule("success", "technical_failure", threshold=threshold)])
    finish_all(task, "SSF")
    delivery = Delivery.objects.get(event="technical_failure")

    facts = facts_of(delivery)

    assert (delivery.streak, delivery.repeats) == stored
    assert (facts.values["threshold_count"], facts.repeats) == (3, 1)
    assert texts_for(facts).subject == "{{task_name}} failed"


# --- retention --------------------------------------------------------------------------------------


def test_deliveries_go_with_the_history(delivery: Delivery, notebook: NotebookChannel, clock: Clock) -> None:
    send_due(clock=clock)
    later = NOON + timedelta(minutes=1)
    Execution.objects.create(
        task=delivery.task,
        status="success",
        is_outcome=True,
        trigger="manual",
        queued_at=later,
        finished_at=later,
    )
    old = NOON - timedelta(days=200)
    Delivery.objects.create(
        kind="email", target="x", event="digest", occasion="d", state="sent", occurred_at=old, created_at=old
    )
    Delivery.objects.create(
        kind="email",
        target="x",
        event="overdue",
        occasion="o",
        state="pending",
        occurred_at=old,
        created_at=old,
    )

    prune(NOON, days=90)
    assert sorted(Delivery.objects.values_list("event", flat=True)) == ["overdue", "technical_failure"]
    prune(NOON + timedelta(days=100), days=90)

    assert list(Delivery.objects.values_list("event", flat=True)) == ["overdue"]
    assert prune_deliveries(NOON) == 0
