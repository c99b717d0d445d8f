"""Filters and tags of the site: pills, instants, durations and the strip of executions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from django import template
from django.conf import settings
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from scheduler.choices import Status
from scheduler.descriptions import describe_schedule

if TYPE_CHECKING:
    from scheduler.models import Execution, Task

register = template.Library()

BAR, GAP, HEIGHT = 5, 2, 22


@register.filter
def pill(status: str | None) -> SafeString:
    """Return the coloured word for a status; a dash for none."""
    if not status:
        return format_html('<span class="s-pill s-none">{}</span>', _("Never ran"))
    word = Status(status)
    return format_html('<span class="s-pill s-{}">{}</span>', word.value, word.label)


@register.filter
def instant(at: datetime | None, zone: str = "") -> SafeString:
    """Return an instant as text in `zone`, by default that of the installation; the browser knows it too."""
    if at is None:
        return mark_safe("–")
    local = at.astimezone(ZoneInfo(zone or settings.SCHEDULER_TIME_ZONE))
    return format_html(
        '<time datetime="{}">{}</time>',
        at.isoformat(timespec="milliseconds"),
        f"{local:%Y-%m-%d %H:%M:%S %Z}",
    )


@register.filter
def relative(at: datetime | None) -> SafeString:
    """Return an element that the browser fills with “in 5 minutes” and keeps true."""
    if at is None:
        return mark_safe("")
    return format_html('<time class="s-quiet" data-relative datetime="{}"></time>', at.isoformat())


@register.filter
def ticking(since: datetime | None) -> SafeString:
    """Return an element in which the browser counts the time since an instant."""
    if since is None:
        return mark_safe("–")
    return format_html('<time data-elapsed datetime="{}"></time>', since.isoformat())


@register.filter
def duration(seconds: float | None) -> str:
    """Return seconds as people say them: ``0.31 s``, ``12 s``, ``3 m 05 s``, ``2 h 07 m``."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return f"{max(seconds, 0):.2f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{int(seconds) // 60} m {int(seconds) % 60:02d} s"
    if seconds < 86_400:
        return f"{int(seconds) // 3600} h {int(seconds) % 3600 // 60:02d} m"
    return f"{int(seconds) // 86_400} d {int(seconds) % 86_400 // 3600:02d} h"


@register.filter
def in_words(task: Task) -> str:
    """Return the schedule of a task in the language of the reader."""
    language = "zh-hans" if (get_language() or "en").startswith("zh") else "en"
    return describe_schedule(task.schedule, language)


def bar_height(seconds: float | None, longest: float) -> int:
    """Return the height of a bar in pixels: logarithmic, so that short runs stay visible beside long ones."""
    if not seconds or longest <= 0:
        return 4
    return round(4 + (HEIGHT - 4) * math.log1p(seconds) / math.log1p(max(longest, seconds)))


@register.filter
def strip(executions: Sequence[Execution]) -> SafeString:
    """Return the executions as an SVG of bars: height is duration, colour is outcome, each a link."""
    if not executions:
        return mark_safe('<span class="s-quiet">–</span>')
    longest = max((row.duration or 0.0) for row in executions)
    heights = [bar_height(row.duration, longest) for row in executions]
    bars = format_html_join(
        "",
        '<a href="{}"><title>{}</title><rect class="s-hit" x="{}" y="0" width="{}" height="{}"/>'
        '<rect class="s-bar s-{}" x="{}" y="{}" width="{}" height="{}" rx="1"/></a>',
        (
            (
                reverse("admin:scheduler_execution_change", args=[row.pk]),
                _bar_title(row),
                index * (BAR + GAP),
                BAR + GAP,
                HEIGHT,
                row.status,
                index * (BAR + GAP),
                HEIGHT - height,
                BAR,
                height,
            )
            for index, (row, height) in enumerate(zip(executions, heights, strict=True))
        ),
    )
    width = len(executions) * (BAR + GAP)
    return format_html(
        '<svg class="s-strip" width="{}" height="{}" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>',
        width,
        HEIGHT,
        width,
        HEIGHT,
        _("Latest executions"),
        bars,
    )


def _bar_title(row: Execution) -> str:
    local = (row.scheduled_for or row.queued_at).astimezone(ZoneInfo(settings.SCHEDULER_TIME_ZONE))
    parts = [f"#{row.pk}", str(Status(row.status).label), f"{local:%Y-%m-%d %H:%M:%S %Z}"]
    if row.duration is not None:
        parts.append(duration(row.duration))
    return " · ".join(parts)
