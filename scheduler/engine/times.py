"""Formats of instants and durations that need no language, and durations as templates; `wording.times` translates.

A duration has one format per kind of place: lists (aligned), sentences (exact, no zeros) and axes of charts (short).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo

MINUTE, HOUR, DAY = 60, 3600, 86_400
Translate = Callable[[str], str]


def gettext_noop(text: str) -> str:
    """Mark `text` for translation; without Django, as this package is used without it."""
    return text


SECONDS = gettext_noop("%(seconds)s s")
MINUTES_SECONDS = gettext_noop("%(minutes)d m %(seconds)02d s")
HOURS_MINUTES = gettext_noop("%(hours)d h %(minutes)02d m")
DAYS_HOURS = gettext_noop("%(days)d d %(hours)02d h")
#: Units of sentences, the largest first.
UNITS = (
    (DAY, gettext_noop("%(count)s d")),
    (HOUR, gettext_noop("%(count)s h")),
    (MINUTE, gettext_noop("%(count)s min")),
)
AXIS_SECONDS, AXIS_MINUTES = gettext_noop("%(seconds)ss"), gettext_noop("%(minutes)sm")
AXIS_HOURS = gettext_noop("%(hours)dh")


def iso(at: datetime) -> str:
    """Return an instant for programs: ISO 8601 in UTC, ``2026-11-28T01:30:00Z``."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def exact_instant(at: datetime, zone: tzinfo = UTC) -> str:
    """Return an instant to the second with its zone: ``2026-11-28 02:30:00 CET``."""
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"


def list_duration(seconds: float, translate: Translate = str) -> str:
    """Return a duration of a list: ``0.31 s``, ``12 s``, ``3 m 05 s``, ``2 h 07 m``, ``1 d 00 h``; as in times.js."""
    whole = int(seconds)
    if whole < MINUTE:
        number = f"{max(seconds, 0):.2f}" if seconds < 10 else f"{min(round(seconds), 59)}"
        return translate(SECONDS) % {"seconds": number}
    if whole < HOUR:
        return translate(MINUTES_SECONDS) % {"minutes": whole // MINUTE, "seconds": whole % MINUTE}
    if whole < DAY:
        return translate(HOURS_MINUTES) % {"hours": whole // HOUR, "minutes": whole % HOUR // MINUTE}
    return translate(DAYS_HOURS) % {"days": whole // DAY, "hours": whole % DAY // HOUR}


def sentence_duration(seconds: float, translate: Translate = str) -> str:
    """Return a duration of a sentence without zeros: ``0.5 s``, ``15 min``, ``1 min 30 s``, ``1 h 30 min``, ``2 d``."""
    if seconds < MINUTE:
        return translate(SECONDS) % {"seconds": f"{round(seconds, 2):g}"}
    parts, left = [], round(seconds)
    for size, words in UNITS:
        if left >= size:
            parts.append(translate(words) % {"count": left // size})
            left %= size
    if left:
        parts.append(translate(SECONDS) % {"seconds": left})
    return " ".join(parts)


def axis_duration(seconds: float, translate: Translate = str) -> str:
    """Return a duration of an axis, in one unit or two: ``0.5s``, ``12s``, ``5m``, ``1h30``.

    Keeps decimals of seconds, so that ticks at half seconds differ.
    """
    if seconds < MINUTE:
        return translate(AXIS_SECONDS) % {"seconds": f"{seconds:g}"}
    if seconds < HOUR:
        minutes = f"{seconds / MINUTE:g}" if seconds % MINUTE == 0 else f"{seconds / MINUTE:.1f}"
        return translate(AXIS_MINUTES) % {"minutes": minutes}
    hours, rest = divmod(round(seconds), HOUR)
    text = translate(AXIS_HOURS) % {"hours": hours}
    return f"{text}{rest // MINUTE:02d}" if rest >= MINUTE else text
