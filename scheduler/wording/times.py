"""Instants and durations for people, in the language of the reader; one format per kind of place.

| Place | Instant | Duration |
|---|---|---|
| facts, tooltips, messages of commands | `exact_instant`: 2026-11-28 02:30:00 CET | |
| rows of lists, cards | `list_instant`: 02:30 CET, yesterday 02:30:10 CET | `list_duration`: 3 m 05 s |
| sentences | `sentence_instant`: on 25 Nov at 02:30; `since_instant`: 25 Nov 02:30 | `sentence_duration`: 1 h 30 min |
| axes of charts | `axis_time`: 02:30; `axis_day`: 11-25 | `axis_duration`: 1h30 |

A zone is an IANA name, "" for that of the server, or an object.
"""

from __future__ import annotations

from datetime import datetime, tzinfo

from django.conf import settings
from django.utils.formats import date_format
from django.utils.translation import gettext
from django.utils.translation import gettext as _

from scheduler.engine import times
from scheduler.engine.zones import display_zone


def zone_of_reader(zone: str | tzinfo = "") -> tzinfo:
    """Return the zone with a name, by default that of the server."""
    return zone if isinstance(zone, tzinfo) else display_zone(zone or settings.SCHEDULER_TIME_ZONE)


def exact_instant(at: datetime, zone: str | tzinfo = "") -> str:
    """Return an instant to the second: ``2026-11-28 02:30:00 CET``."""
    return times.exact_instant(at, zone_of_reader(zone))


def offset_instant(at: datetime, zone: str | tzinfo = "") -> str:
    """Return an instant with the offset from UTC, for templates of messages: ``2026-11-28 02:30:00 +01:00``."""
    text = at.astimezone(zone_of_reader(zone)).isoformat(" ", "seconds")
    return f"{text[:-6]} {text[-6:]}"


def list_instant(at: datetime, zone: str | tzinfo, now: datetime) -> str:
    """Return an instant of a list, with seconds only where it has some: ``02:30 CET``, ``yesterday 02:30:10 CET``."""
    local = at.astimezone(zone_of_reader(zone))
    return _after_day(local, _time_with_zone(local), now)


def time_with_zone(at: datetime, zone: str | tzinfo = "") -> str:
    """Return the time of an instant, for places that show its day as well: ``02:30 CET``, ``02:30:10 CET``."""
    return _time_with_zone(at.astimezone(zone_of_reader(zone)))


def since_instant(at: datetime, zone: str | tzinfo, now: datetime) -> str:
    """Return an instant for use after “since”: only the time if it is today, otherwise with the day."""
    local = at.astimezone(zone_of_reader(zone))
    return _after_day(local, f"{local:%H:%M}", now)


def sentence_instant(at: datetime, zone: str | tzinfo, now: datetime) -> str:
    """Return an instant as an adverb: “at 02:30”, “yesterday at 02:30”, “on 22 Nov at 02:30”."""
    local = at.astimezone(zone_of_reader(zone))
    day = _day(local, now)
    words = {
        "today": _("at %(time)s"),
        "yesterday": _("yesterday at %(time)s"),
        "tomorrow": _("tomorrow at %(time)s"),
    }
    return words.get(day, _("on %(day)s at %(time)s")) % {"time": f"{local:%H:%M}", "day": day}


def axis_time(at: datetime, zone: str | tzinfo = "") -> str:
    """Return the time of an instant for an axis: ``02:30``."""
    return f"{at.astimezone(zone_of_reader(zone)):%H:%M}"


def axis_day(at: datetime, zone: str | tzinfo = "") -> str:
    """Return the day of an instant for an axis: ``11-28``."""
    return f"{at.astimezone(zone_of_reader(zone)):%m-%d}"


def span(begin: datetime, end: datetime, zone: str | tzinfo = "") -> str:
    """Return the bounds of a span: ``28 Nov 2026 23:00 – 29 Nov 02:00``; the second day only if it differs."""
    first, last = (at.astimezone(zone_of_reader(zone)) for at in (begin, end))
    day = "" if last.date() == first.date() else f"{date_format(last, _('j M'))} "
    return f"{date_format(first, _('j M Y'))} {first:%H:%M} – {day}{last:%H:%M}"


def list_duration(seconds: float) -> str:
    """Return a duration of a list: ``0.31 s``, ``12 s``, ``3 m 05 s``, ``2 h 07 m``, ``1 d 00 h``."""
    return times.list_duration(seconds, gettext)


def sentence_duration(seconds: float) -> str:
    """Return a duration of a sentence: ``0.5 s``, ``15 min``, ``1 min 30 s``, ``1 h 30 min``, ``2 d``."""
    return times.sentence_duration(seconds, gettext)


def axis_duration(seconds: float) -> str:
    """Return a duration of an axis: ``0.5s``, ``12s``, ``5m``, ``1h30``."""
    return times.axis_duration(seconds, gettext)


def browser_words() -> dict[str, str]:
    """Return the templates from which times.js makes the same texts."""
    names = ("day", "hour", "minute")
    return {
        "seconds": gettext(times.SECONDS),
        "minutes": gettext(times.MINUTES_SECONDS),
        "hours": gettext(times.HOURS_MINUTES),
        "days": gettext(times.DAYS_HOURS),
        **{name: gettext(words) for name, (_size, words) in zip(names, times.UNITS, strict=True)},
        "future": _("in %(time)s"),
        "past": _("%(time)s ago"),
    }


def _time_with_zone(local: datetime) -> str:
    return f"{local:%H:%M:%S %Z}" if local.second else f"{local:%H:%M %Z}"


def _after_day(local: datetime, time: str, now: datetime) -> str:
    """Return a time after its day; the day is omitted if it is today."""
    day = _day(local, now)
    words = {"today": "%(time)s", "yesterday": _("yesterday %(time)s"), "tomorrow": _("tomorrow %(time)s")}
    return words.get(day, "%(day)s %(time)s") % {"time": time, "day": day}


def _day(local: datetime, now: datetime) -> str:
    """Return the day of a local time: “today”, “yesterday”, “tomorrow”, or its date in words."""
    today = now.astimezone(local.tzinfo).date()
    near = {0: "today", -1: "yesterday", 1: "tomorrow"}.get((local.date() - today).days)
    return near or date_format(local, _("j M") if local.year == today.year else _("j M Y"))
