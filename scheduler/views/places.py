"""Places on pages that other apps fill, each with a signal.

Receivers answer what stands in the place, or None.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.dispatch import Signal
from django.http import HttpRequest

#: Asked for by the overview. Arguments: ``request``, ``now``. Answer: a list of `Concern`.
overview_concerns = Signal()

#: Asked for by the page of a task. Arguments: ``request``, ``task``. Answer: safe HTML, a card.
task_page_cards = Signal()

#: Asked for by the page of an execution. Arguments: ``request``, ``execution``. Answer: safe HTML, a card.
execution_page_cards = Signal()


@dataclass(frozen=True)
class Concern:
    """Something that needs attention.

    Attributes:
        key: names its link among all on the page.
        is_bad: it does not work, rather than not well.
    """

    key: str
    name: str
    link: str
    text: str
    is_bad: bool = True


def asked(signal: Signal, request: HttpRequest, **arguments: Any) -> Iterator[Any]:
    """Yield what receivers answer."""
    for _receiver, answer in signal.send(sender=None, request=request, **arguments):
        if answer:
            yield answer
