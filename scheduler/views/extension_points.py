"""Extension points of pages, filled by other apps through signals.

Receivers return the content, or None.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.dispatch import Signal
from django.http import HttpRequest

#: Sent by the overview with ``request`` and ``now``. Receivers return a list of `AttentionItem`.
overview_attention = Signal()

#: Sent by the task page with ``request`` and ``task``. Receivers return safe HTML, a card.
task_page_cards = Signal()

#: Sent by the execution page with ``request`` and ``execution``. Receivers return safe HTML, a card.
execution_page_cards = Signal()


@dataclass(frozen=True)
class AttentionItem:
    """A problem that needs attention.

    Attributes:
        key: unique identifier of its link on the page.
        is_bad: an error rather than a warning.
    """

    key: str
    name: str
    link: str
    text: str
    is_bad: bool = True


def collect(signal: Signal, request: HttpRequest, **arguments: Any) -> Iterator[Any]:
    """Yield the non-empty responses of the receivers."""
    for _receiver, answer in signal.send(sender=None, request=request, **arguments):
        if answer:
            yield answer
