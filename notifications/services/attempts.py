"""One attempt to send one message, in its own thread, abandoned after a total deadline.

Channels enforce the deadline themselves. If one does not (a hanging resolver, a bug in a library), it keeps its thread:
the attempt is recorded as failed, and the thread is counted until it ends, so that a process never has more than
`PER_KIND` threads of a channel kind.
"""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from notifications.channels.registry import get_channel
from notifications.engine.reasons import Code
from notifications.exceptions import SendError
from notifications.models import Delivery
from scheduler import failpoints
from scheduler.config_file.secret_values import channel_secrets
from scheduler.engine.reasons import Reason, as_reason
from scheduler.runner.masking import Secrets

logger = logging.getLogger(__name__)

PER_KIND = 8  # threads per channel kind and process: a hanging mail server does not block webhooks
PER_TARGET = 2
GRACE = 1.0  # seconds after the deadline in which the channel may still return its result

_lost: list[Attempt] = []


@dataclass(frozen=True)
class Result:
    """The result of an attempt.

    Attributes:
        said: the receiver's response or the cause of the failure; a plain string is third-party text.
        retry_after: delay in seconds requested by the receiver.
        is_permanent: a retry would fail as well.
        content: the unsent part, when the message was sent in part.
    """

    is_sent: bool
    said: Reason | str
    retry_after: float | None = None
    is_permanent: bool = False
    content: Mapping[str, Any] | None = None


class Attempt:
    """A send in progress; `on_end` is called in its thread unless it was abandoned first."""

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
        """Start the thread."""
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the thread is still running."""
        return self._thread.is_alive()

    @property
    def is_late(self) -> bool:
        """Whether the deadline and the grace time have passed."""
        return time.monotonic() >= self.ends_at

    def give_up(self) -> None:
        """Stop waiting for the result; the thread counts until it ends."""
        self._on_end = _ignore
        _lost.append(self)

    def _run(self) -> None:
        result = _send(self.delivery, self._config, self._deadline)
        masked = _secrets(self.delivery.kind, self._config).masked
        self._on_end(self, replace(result, said=as_reason(result.said).mapped(masked)))


def _ignore(attempt: Attempt, result: Result) -> None:
    logger.warning("delivery %s ended after it was given up: %s", attempt.delivery.pk, result.said)


def abandoned(kind: str) -> list[Attempt]:
    """Return the abandoned attempts of a kind whose threads are still running."""
    _lost[:] = [attempt for attempt in _lost if attempt.is_alive]
    return [attempt for attempt in _lost if attempt.delivery.kind == kind]


def _send(delivery: Delivery, config: Mapping[str, Any], deadline: float) -> Result:
    failpoints.hit("send.before")
    try:
        said = get_channel(delivery.kind).send(
            config, delivery.content or {}, key=delivery.key, deadline=deadline
        )
    except SendError as error:
        return Result(
            False,
            error.why,
            retry_after=error.retry_after,
            is_permanent=error.is_permanent,
            content=error.content,
        )
    except Exception as error:
        trace = _secrets(delivery.kind, config).masked(traceback.format_exc())
        logger.error("delivery %s: its channel failed\n%s", delivery.pk, trace)
        return Result(False, Reason(Code.CHANNEL_FAILED, {"error": type(error).__name__}))
    finally:
        failpoints.hit("send.after")
    return Result(True, said)


def _secrets(kind: str, config: Mapping[str, Any]) -> Secrets:
    """Return the values to mask in results: responses and errors may repeat secrets."""
    return Secrets(list(channel_secrets({"type": kind, **config}, shows_address=False)))
