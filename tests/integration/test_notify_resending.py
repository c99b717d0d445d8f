"""Sending a delivery again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from notifications.exceptions import SendError
from notifications.models import Delivery, NotificationRule
from notifications.services import resending
from notifications.services.send_threads import send_due
from scheduler.exceptions import ConflictError
from tests.conftest import NOON
from tests.notify import NotebookChannel, finish_all, rule

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def test_a_failed_delivery_is_resent_with_its_key(make_task: Any, notebook: NotebookChannel) -> None:
    finish_all(make_task("a", task_notify=[rule("technical_failure")]), "F")
    notebook.answers = [SendError("410 gone", is_permanent=True)]
    send_due()

    resending.resend(Delivery.objects.get(), now=NOON)
    send_due()

    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempts) == ("sent", 1)
    assert {key for key, _content in notebook.sent} == {delivery.key}


def test_a_sent_delivery_is_resent_in_a_row_and_with_a_key_of_its_own(
    make_task: Any, notebook: NotebookChannel
) -> None:
    finish_all(make_task("a", task_notify=[rule("technical_failure")]), "F")
    send_due()
    first = Delivery.objects.get()

    again = resending.resend(first, now=NOON)
    send_due()

    assert again.pk != first.pk
    assert list(Delivery.objects.values_list("state", flat=True)) == ["sent", "sent"]
    (key, content), (other_key, other_content) = notebook.sent
    assert key != other_key and content == other_content


def test_a_suppressed_delivery_can_be_sent_after_all(make_task: Any, notebook: NotebookChannel) -> None:
    finish_all(make_task("a", task_notify=[rule("technical_failure", cooldown=600)]), "FFF")
    held = Delivery.objects.get(state="suppressed")

    resending.resend(held, now=NOON)
    send_due()

    assert len(notebook.sent) == 2
    held.refresh_from_db()
    assert (held.state, held.count) == ("suppressed", 2)


def test_what_is_being_sent_or_has_no_channel_is_not_resent(
    make_task: Any, notebook: NotebookChannel
) -> None:
    finish_all(make_task("a", task_notify=[rule("technical_failure")]), "F")
    delivery = Delivery.objects.get()
    Delivery.objects.update(state="sending")

    with pytest.raises(ConflictError, match=f"Delivery {delivery.pk} is being sent."):
        resending.resend(delivery, now=NOON)
    NotificationRule.objects.all().delete()
    with pytest.raises(ConflictError, match=f"The channel of delivery {delivery.pk} no longer exists."):
        resending.resend(delivery, now=NOON)
