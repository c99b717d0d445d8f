"""Live explanation of a schedule: description, next runs, and effect of the next clock change."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby, islice
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from scheduler.engine.cron_readings import find_wide_steps
from scheduler.engine.schedules import TransitionEffect, accept_schedule, describe_transitions, iterate_slots
from scheduler.exceptions import InvalidScheduleError
from scheduler.templatetags.scheduler_site import language_of_schedules
from scheduler.views.frame import now, require
from scheduler.wording.reasons import told_error
from scheduler.wording.schedules import describe_schedule
from scheduler.wording.times import time_with_zone

RUNS, EFFECTS = 5, 4


def schedule_hint(request: HttpRequest) -> HttpResponse:
    """Explain `schedule` in `timezone`, or return its error."""
    require(request, "view_task")
    expression = request.GET.get("schedule", "").strip()[:255]
    zone = request.GET.get("timezone", "").strip()[:64] or settings.SCHEDULER_TIME_ZONE
    context: dict[str, Any] = {"zone": zone, "expression": expression}
    if expression:
        try:
            context |= _meaning(expression, zone, now())
        except InvalidScheduleError as error:
            context["error"] = told_error(error)
    return render(request, "scheduler/_schedule_hint.html", context)


def _meaning(expression: str, zone: str, present: datetime) -> dict[str, Any]:
    schedule = accept_schedule(expression, zone, present)
    effects = describe_transitions(schedule, present)
    return {
        "words": describe_schedule(expression, language_of_schedules()),
        "notes": find_wide_steps(expression),
        "slots": list(islice(iterate_slots(schedule, present), RUNS)),
        "effects": [_effect(group, zone) for group in _grouped(effects)[:EFFECTS]],
    }


def _grouped(effects: Sequence[TransitionEffect]) -> list[list[TransitionEffect]]:
    """Return the effects with the fixed times of one gap together: they have one run."""
    return [
        list(group)
        for _key, group in groupby(
            effects, key=lambda effect: (effect.runs_at, effect.kind == "gap" or effect.wall)
        )
    ]


def _effect(group: Sequence[TransitionEffect], zone: str) -> str:
    """Return a sentence on the effect of a clock change on one fixed time, or on the times of one gap."""
    effect, walls = group[0], [effect.wall for effect in group]
    facts = {
        "day": effect.day.isoformat(),
        "wall": ", ".join(walls if len(walls) < 4 else [*walls[:2], "…", walls[-1]]),
        "time": time_with_zone(effect.runs_at, zone),
    }
    if len(group) > 1:
        return _("%(day)s: %(wall)s do not exist; it runs once, at %(time)s") % facts
    if effect.kind == "gap":
        return _("%(day)s: %(wall)s does not exist; it runs at %(time)s") % facts
    return _("%(day)s: %(wall)s comes twice; it runs once, at %(time)s") % facts
