"""Sending a delivery again, on request."""

from __future__ import annotations

import secrets
from datetime import datetime

from django.db import transaction

from notifications.choices import FINISHED, State
from notifications.engine.reasons import Code
from notifications.models import Delivery, new_key
from notifications.services.wake import wake_sender_after_commit
from scheduler.engine.reasons import Reason
from scheduler.exceptions import ConflictError


def resend(delivery: Delivery, *, now: datetime) -> Delivery:
    """Schedule a delivery for sending: at once if it is pending or failed; as a new row if it was sent or suppressed.

    A failed delivery keeps its key, because the message may have arrived; an intentional repetition gets a new key.

    Returns:
        the delivery that will be sent.

    Raises:
        ConflictError: it is being sent, its channel was deleted, or it is the test of a draft.
    """
    with transaction.atomic():
        fresh = Delivery.objects.select_for_update(of=("self",)).get(pk=delivery.pk)
        if fresh.channel_id is None:
            raise ConflictError(Reason(Code.DELIVERY_WITHOUT_CHANNEL, {"delivery": fresh.pk}))
        if fresh.state == State.SENDING:
            raise ConflictError(Reason(Code.DELIVERY_BEING_SENT, {"delivery": fresh.pk}))
        if fresh.state == State.FAILED:
            fresh.attempts = 0
            fresh.set_reason(None)
        if fresh.state in FINISHED:
            fresh.pk, fresh.key = None, new_key()
            fresh._state.adding = True
            fresh.occasion = f"again:{secrets.token_hex(8)}"
            fresh.count, fresh.attempts = 1, 0
            fresh.set_reason(None)
            fresh.set_answer(None)
            fresh.sent_at = None
            fresh.created_at = now
        fresh.state, fresh.next_attempt_at = State.PENDING, now
        fresh.save()
        wake_sender_after_commit()
    return fresh
