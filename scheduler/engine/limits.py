"""Limits on attempts: growing waits after wrong guesses, and rate limits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

FARTHEST_DOUBLING = 30


class Limit(Protocol):
    """A limit on attempts; the count decreases by one every `forgiven_every` seconds."""

    @property
    def forgiven_every(self) -> float:
        """Seconds in which one attempt is forgiven."""
        ...

    def wait_after(self, count: float) -> float:
        """Return the seconds to wait before the next attempt after `count` attempts."""
        ...


@dataclass(frozen=True)
class GuessLimit:
    """Exponential wait after wrong guesses; the first ones are free. All times are seconds.

    Attributes:
        free: guesses allowed without a wait.
    """

    free: int
    first_wait: float
    longest_wait: float
    forgiven_every: float

    def wait_after(self, count: float) -> float:
        """Return the wait: 0 below `free` guesses, then `first_wait`, doubling with each guess up to `longest_wait`."""
        doublings = math.ceil(count) - self.free
        if doublings < 0:
            return 0.0
        return min(self.first_wait * 2.0 ** min(doublings, FARTHEST_DOUBLING), self.longest_wait)


@dataclass(frozen=True)
class RateLimit:
    """At most `most` in a burst, and `most` in each `period` of seconds after it (a leaky bucket)."""

    most: int
    period: float

    @property
    def forgiven_every(self) -> float:
        """Seconds in which one attempt is forgiven."""
        return self.period / self.most

    def wait_after(self, count: float) -> float:
        """Return the wait until another attempt is allowed."""
        return max(0.0, count + 1 - self.most) * self.forgiven_every


def count_left(count: float, *, seconds: float, limit: Limit) -> float:
    """Return the remaining count after `seconds` without an attempt."""
    return max(0.0, count - max(0.0, seconds) / limit.forgiven_every)
