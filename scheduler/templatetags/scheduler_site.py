"""Template filters for statuses, times, durations, reasons and logs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING
from zoneinfo import available_timezones

from django import template
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from scheduler.charts import Bar, outcome_strip
from scheduler.choices import RunStatus, Status
from scheduler.engine.reasons import Reason
from scheduler.engine.times import iso
from scheduler.wording import times
from scheduler.wording.reasons import told, told_linked
from scheduler.wording.schedules import describe_schedule
from scheduler.wording.task_status import schedule_problem

if TYPE_CHECKING:
    from scheduler.models import Execution, Task

register = template.Library()
register.filter(iso)

STRIP = 30  # executions
LINKED = ("execution", "run")  # parameters of reasons that link to pages


@register.filter
def pill(status: str | None) -> SafeString:
    """Return a coloured label for a status; a dash for none."""
    if not status:
        return format_html('<span class="s-pill s-none">{}</span>', _("Never ran"))
    word = Status(status)
    return format_html('<span class="s-pill s-{}">{}</span>', word.value, word.label)


@register.filter
def run_pill(status: str) -> SafeString:
    """Return a coloured label for the status of a run."""
    word = RunStatus(status)
    look = Status.TECHNICAL_FAILURE if word == RunStatus.FAILED else word
    return format_html('<span class="s-pill s-{}">{}</span>', look.value, word.label)


@register.filter
def exact_instant(at: datetime | None, zone: str = "") -> SafeString:
    """Return an instant of a fact, in `zone` (default: the server's)."""
    return _time_element(at, zone, lambda known: times.exact_instant(known, zone))


@register.filter
def list_instant(at: datetime | None, zone: str = "") -> SafeString:
    """Return an instant of a row or card; exact in its tooltip."""
    return _time_element(at, zone, lambda known: times.list_instant(known, zone, datetime.now(UTC)))


@register.filter
def sentence_instant(at: datetime | None, zone: str = "") -> SafeString:
    """Return an instant of a sentence, such as “yesterday at 02:30”; exact in its tooltip."""
    return _time_element(at, zone, lambda known: times.sentence_instant(known, zone, datetime.now(UTC)))


def _time_element(at: datetime | None, zone: str, words: Callable[[datetime], str]) -> SafeString:
    if at is None:
        return mark_safe("–")
    text, exact = words(at), times.exact_instant(at, zone)
    title = "" if text == exact else format_html(' title="{}"', exact)
    return format_html('<time datetime="{}"{}>{}</time>', iso(at), title, text)


@register.filter
def relative(at: datetime | None) -> SafeString:
    """Return an element that the browser fills with “in 5 minutes” and keeps up to date."""
    if at is None:
        return mark_safe("")
    return format_html('<time class="s-quiet" data-relative datetime="{}"></time>', iso(at))


@register.filter
def ticking(since: datetime | None) -> SafeString:
    """Return an element in which the browser counts the time since an instant."""
    if since is None:
        return mark_safe("–")
    return format_html('<time data-elapsed datetime="{}"></time>', iso(since))


@register.filter
def list_duration(seconds: float | None) -> str:
    """Return a duration of a row or fact; a dash for none."""
    return "–" if seconds is None else times.list_duration(seconds)


@register.filter
def sentence_duration(seconds: float) -> str:
    """Return a duration of a sentence."""
    return times.sentence_duration(seconds)


@register.simple_tag
def time_words() -> SafeString:
    """Return an element with the templates of times.js."""
    return format_html('<span id="s-times" data-words="{}" hidden></span>', json.dumps(times.browser_words()))


@register.filter
def in_words(task: Task) -> str:
    """Return the schedule of a task in the language of the reader."""
    return describe_schedule(task.schedule, language_of_schedules())


def language_of_schedules() -> str:
    """Return the language for schedule descriptions, from that of the reader."""
    return "zh-hans" if (get_language() or "en").startswith("zh") else "en"


def strip(executions: Sequence[Execution], most: int = STRIP, *, zone: str) -> SafeString:
    """Return the latest executions as `most` bars: height is duration, colour is outcome, each a link.

    Args:
        zone: the task's zone, used for instants in the titles.
    """
    # Resolved once: a list of tasks has hundreds of bars.
    before, after = reverse("admin:scheduler_execution_change", args=[0]).rsplit("0", 1)
    told_in = times.zone_of_reader(zone)
    labels = {status: str(Status(status).label) for status in {row.status for row in executions}}
    bars = [
        Bar(
            f"{before}{row.pk}{after}", _bar_title(row, labels[row.status], told_in), row.status, row.duration
        )
        for row in executions[-most:]
    ]
    return outcome_strip(bars, slots=max(len(bars), STRIP), label=_("Latest executions"))


@register.filter(name="told")
def told_filter(reason: Reason | None) -> str:
    """Return a reason in the language of the reader."""
    return told(reason)


@register.filter(name="schedule_problem")
def schedule_problem_filter(task: Task) -> str:
    """Return why the schedule of a task is invalid."""
    return schedule_problem(task)


@register.filter
def linked(reason: Reason) -> SafeString:
    """Return a reason in the language of the reader, with links to its executions and runs."""
    return told_linked(reason, _address)


def _address(name: str, value: object) -> str | None:
    return reverse(f"admin:scheduler_{name}_change", args=[value]) if name in LINKED and value else None


@register.filter
def bytes_text(size: int | None) -> str:
    """Return a size in bytes in a readable unit."""
    return "–" if size is None else filesizeformat(size)


@register.filter
def log_text(text: str) -> SafeString:
    """Return a piece of a log as the content of a ``pre``: browsers convert carriage returns to line breaks.

    A line feed is prepended, because browsers drop one at the start of a ``pre``.

    Source: HTML, "Preprocessing the input stream" and the start tag "pre" of "The rules for parsing tokens".
    """
    return mark_safe("\n" + escape(text).replace("\r", "&#13;"))  # noqa: S308 - escaped


@register.simple_tag
def time_zones() -> list[str]:
    """Return the names of all time zones, sorted."""
    return sorted(available_timezones() - {"localtime", "posixrules"})


def _bar_title(row: Execution, label: str, told_in: tzinfo) -> str:
    title = f"{label} · {times.exact_instant(row.scheduled_for or row.queued_at, told_in)}"
    return title if row.duration is None else f"{title} · {times.list_duration(row.duration)}"
