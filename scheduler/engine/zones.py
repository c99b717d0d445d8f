"""Clock changes (UTC offset transitions) of time zones."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from scheduler.engine.reasons import Code, Reason
from scheduler.exceptions import InvalidScheduleError

ONE_SECOND = timedelta(seconds=1)
ONE_DAY = timedelta(days=1)
MACHINE_ZONES = frozenset({"localtime", "posixrules"})


@dataclass(frozen=True)
class Change:
    """A change of the offset from UTC: a gap when clocks go forward, a fold when they go back.

    Attributes:
        at: the first instant with the new offset, UTC.
        wall_before: the wall-clock time at `at` with the old offset; naive.
        wall_after: the wall-clock time at `at` with the new offset; naive.
    """

    at: datetime
    wall_before: datetime
    wall_after: datetime

    @property
    def is_fold(self) -> bool:
        """Return whether wall-clock times are repeated."""
        return self.wall_after < self.wall_before

    @property
    def offset_after(self) -> timedelta:
        """The new offset from UTC."""
        return self.wall_after - self.at.replace(tzinfo=None)

    def has_skipped(self, wall: datetime) -> bool:
        """Return whether `wall` lies in the gap."""
        return self.wall_before <= wall < self.wall_after

    def missing_days(self) -> tuple[datetime, datetime]:
        """Return the bounds [first, end) of the days that lie entirely in the gap; often empty.

        Apia had no 30 December 2011.
        """
        end = _midnight(self.wall_after)
        return min(end, _midnight(self.wall_before + ONE_DAY - ONE_SECOND)), end


def _midnight(wall: datetime) -> datetime:
    return wall.replace(hour=0, minute=0, second=0, microsecond=0)


def zone_of(timezone: str) -> zoneinfo.ZoneInfo:
    """Return the zone with an IANA name.

    Raises:
        InvalidScheduleError: the name is unknown, or depends on the machine.
    """
    try:
        if timezone not in MACHINE_ZONES:
            return zoneinfo.ZoneInfo(timezone)
    except (LookupError, ValueError, OSError) as error:
        raise _unknown(timezone) from error
    raise _unknown(timezone)


def display_zone(timezone: str) -> zoneinfo.ZoneInfo:
    """Return the zone in which instants are displayed: UTC if this machine does not know the name."""
    try:
        return zone_of(timezone)
    except InvalidScheduleError:
        return zoneinfo.ZoneInfo("UTC")


def _unknown(timezone: str) -> InvalidScheduleError:
    # Keep NUL and lone surrogates out of the message: databases reject them.
    shown = "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in timezone[:80]
    )
    return InvalidScheduleError(Reason(Code.TIME_ZONE_UNKNOWN, {"name": shown}))


@lru_cache(maxsize=16_384)
def changes_of_year(timezone: str, year: int) -> tuple[Change, ...]:
    """Return the changes of a UTC year in ascending order.

    The offset is sampled once a day: two changes in one day that cancel each other would be missed, but no zone has
    such a day.
    """
    zone = zone_of(timezone)
    day, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    changes = []
    offset = day.astimezone(zone).utcoffset()
    while day < end:
        following = day + ONE_DAY
        new = following.astimezone(zone).utcoffset()
        if new != offset:
            changes.append(_change_between(zone, day, following))
            offset = new
        day = following
    return tuple(changes)


def _change_between(zone: zoneinfo.ZoneInfo, before: datetime, after: datetime) -> Change:
    """Return the change in (`before`, `after`], found by bisection to the second."""
    old = before.astimezone(zone).utcoffset()
    while after - before > ONE_SECOND:
        middle = before + (after - before) // 2
        middle = middle.replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == old:
            before = middle
        else:
            after = middle
    assert old is not None  # noqa: S101 - aware
    wall_after = after.astimezone(zone).replace(tzinfo=None, fold=0)
    return Change(at=after, wall_before=after.replace(tzinfo=None) + old, wall_after=wall_after)


@lru_cache(maxsize=16_384)
def changes_around(timezone: str, year: int) -> tuple[Change, ...]:
    """Return the changes of a year and its two neighbours in ascending order."""
    return tuple(change for near in (year - 1, year, year + 1) for change in changes_of_year(timezone, near))


def forget_zones() -> None:
    """Drop what was computed from the tables of time zones, because others are in use now."""
    changes_of_year.cache_clear()
    changes_around.cache_clear()


def changes_between(timezone: str, start: datetime, end: datetime) -> Iterator[Change]:
    """Yield the changes in (`start`, `end`] in ascending order; both UTC."""
    for year in range(start.year, end.year + 1):
        for change in changes_of_year(timezone, year):
            if start < change.at <= end:
                yield change
