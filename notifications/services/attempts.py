"""One attempt to send one message, in a thread of its own that is given up after a total deadline.

A channel keeps its deadline itself. One that does not (a resolver that hangs, a fault in a library) holds its thread:
the attempt is then recorded as failed, and its thread is counted until it ends, so that there are never more than
`PER_KIND` of a kind in a process.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from notifications.channels import get_channel
from notifications.exceptions import SendError
from notifications.models import Delivery
from scheduler import crashpoints

logger = logging.getLogger(__name__)

PER_KIND = 8  # threads of one kind of channel in a process: a mail server that hangs leaves webhooks alone
PER_TARGET = 2
GRACE = 1.0  # seconds after the deadline in which a channel may still say what happened

_lost: list[Attempt] = []


@dataclass(frozen=True)
class Result:
    """How an attempt ended.

    Attributes:
        text: what the other side said, or why it failed.
        retry_after: seconds the other side asked for.
        is_permanent: another attempt is of no use.
        content: what is left to be sent, when some of it arrived.
    """

    is_sent: bool
    text: str
    retry_after: float | None = None
    is_permanent: bool = False
    content: Mapping[str, Any] | None = None


class Attempt:
    """A message on its way; `on_end` is called in its thread, when it ends before it is given up."""

    def __init__(
        self,
        delivery: Delivery,
        config: Mapping[str, Any],
        *,
        deadline: float,
        on_end: Callable[[Attempt, Result], None],
    ) -> None:
        self.delivery = delivery
        self.ends_at = time.monotonic() + deadline + GRACE
        self._config = dict(config)
        self._deadline = deadline
        self._on_end = on_end
        self._thread = threading.Thread(target=self._run, name=f"delivery-{delivery.pk}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether its thread still runs."""
        return self._thread.is_alive()

    @property
    def is_late(self) -> bool:
        """Whether its time is over."""
        return time.monotonic() >= self.ends_at

    def give_up(self) -> None:
        """Stop waiting for it; its thread counts until it ends."""
        self._on_end = _ignore
        _lost.append(self)

    def _run(self) -> None:
        result = _send(self.delivery, self._config, self._deadline)
        self._on_end(self, result)


def _ignore(attempt: Attempt, result: Result) -> None:
    logger.warning("delivery %s ended after it was given up: %s", attempt.delivery.pk, result.text)


def lost(kind: str) -> list[Attempt]:
    """Return the attempts of a kind that were given up and still hold their threads."""
    _lost[:] = [attempt for attempt in _lost if attempt.is_alive]
    return [attempt for attempt in _lost if attempt.delivery.kind == kind]


def _send(delivery: Delivery, config: Mapping[str, Any], deadline: float) -> Result:
    crashpoints.passed("send.before")
    try:
        said = get_channel(delivery.kind).send(
            config, delivery.content or {}, key=delivery.key, deadline=deadline
        )
    except SendError as error:
        return Result(
            False,
            error.reason,
            retry_after=error.retry_after,
            is_permanent=error.is_permanent,
            content=error.content,
        )
    except Exception as error:
        logger.exception("delivery %s: its channel failed", delivery.pk)
        # The text of an unknown error may hold a password or a token; it stands in the log only.
        return Result(False, f"the channel failed unexpectedly ({type(error).__name__}); the log says more")
    finally:
        crashpoints.passed("send.after")
    return Result(True, said)
