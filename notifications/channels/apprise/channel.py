"""Composes and sends messages to Apprise services.

Apprise and its plugins open connections through many libraries, so they run in a separate process in which every
connection is checked when it is opened, and no file is read and no program started; see `process`.
That process is killed at the deadline.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django.conf import settings
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from notifications.channels.apprise.checks import service_of
from notifications.channels.apprise.definition import DEFINITION
from notifications.channels.apprise.form import AppriseDraft
from notifications.channels.apprise.process import Outcome, Request
from notifications.channels.apprise.reasons import Code
from notifications.channels.apprise.services import open_process
from notifications.channels.apprise.wording import TEMPLATES
from notifications.channels.base import Channel
from notifications.choices import Event
from notifications.engine.reasons import Code as CommonCode
from notifications.exceptions import SendError
from notifications.messages import default_texts, templates
from notifications.messages.context import Facts
from scheduler.choices import FAILED, NEUTRAL
from scheduler.engine.reasons import Reason, stored_reason

_LEVELS: dict[str, str] = {
    **dict.fromkeys((Event.SUCCESS, Event.RECOVERED), "success"),
    **dict.fromkeys((*FAILED, Event.OVERDUE), "failure"),
    **dict.fromkeys(NEUTRAL, "warning"),
}


@dataclass(frozen=True, slots=True)
class AppriseChannel(Channel):
    """Sends to Apprise services."""

    definition: ClassVar = DEFINITION
    label: ClassVar = _("Apprise")
    icon: ClassVar = "forum"
    target: ClassVar = ("urls",)
    draft: ClassVar = AppriseDraft
    reasons: ClassVar = TEMPLATES

    def compose(self, config: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
        """Return title, body, level, and the kinds of the services; the rest of their URLs may be secret."""
        texts = default_texts.texts_for(facts)
        return {
            "title": templates.render_subject(config.get("subject_template") or texts.subject, facts.values),
            "body": templates.render(config.get("body_template") or texts.body, facts.values),
            "level": _LEVELS.get(facts.event, "info"),
            "services": [{"kind": service_of(url), "id": _service_id(url)} for url in config["urls"]],
        }

    def send(
        self, config: Mapping[str, Any], content: Mapping[str, Any], *, key: str, deadline: float
    ) -> Reason:
        """Send to each service; on failure the error contains the content left for the failed ones."""
        urls = {_service_id(url): url for url in config["urls"]}
        services = [service for service in content["services"] if service["id"] in urls]
        if not services:
            raise SendError(Reason(Code.SERVICES_GONE), is_permanent=True)
        request: Request = {
            "services": [{"id": service["id"], "url": urls[service["id"]]} for service in services],
            "title": content["title"],
            "body": content["body"],
            "level": content["level"],
            "allow": settings.SCHEDULER_WEBHOOK_ALLOW,
            "seconds": deadline,
        }
        return _report(content, services, _run(request, deadline))

    def describe(self, config: Mapping[str, Any]) -> list[str]:
        """Return the URLs."""
        return [str(url) for url in config["urls"]]

    def sample_answer(self, config: Mapping[str, Any]) -> Reason:
        """Return a response in which all services accepted the message."""
        return Reason(Code.SENT_TO, {"services": [service_of(url) for url in config["urls"]]})


def _service_id(url: str) -> str:
    """Return an id for a URL that discloses nothing about it."""
    return salted_hmac("notifications.apprise", url, algorithm="sha256").hexdigest()[:12]


def _report(
    content: Mapping[str, Any], services: list[dict[str, str]], outcomes: dict[str, Outcome]
) -> Reason:
    """Return the services that accepted the message.

    Raises:
        SendError: a service failed.
    """
    failed = [service for service in services if not outcomes[service["id"]]["is_sent"]]
    sent = [service["kind"] for service in services if service not in failed]
    if not failed:
        return Reason(Code.SENT_TO, {"services": sent})
    parts = [_failed(service["kind"], outcomes[service["id"]]) for service in failed]
    said = parts[0] if len(parts) == 1 else Reason(CommonCode.SEVERAL, {"parts": parts})
    raise SendError(
        Reason(Code.SENT_IN_PART, {"why": said, "services": sent}) if sent else said,
        is_permanent=all(outcomes[service["id"]]["is_refused"] for service in failed),
        content={**content, "services": failed} if sent else None,
    )


def _failed(kind: str, outcome: Outcome) -> Reason:
    why = outcome["reason"] or {"code": "", "params": {}}
    reason = stored_reason(why["code"], why["params"]) or Reason(Code.SERVICE_REFUSED)
    return Reason(Code.SERVICE_FAILED, {"service": kind, "why": reason})


def _run(request: Request, deadline: float) -> dict[str, Outcome]:
    """Return the result of each service by id, even if the process was killed before it reported them all."""
    with open_process() as process:
        try:
            output, _ = process.communicate(json.dumps(request), timeout=deadline)
            missing = Reason(Code.SENDING_PROCESS_ENDED)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            missing = Reason(CommonCode.NOT_FINISHED, {"seconds": deadline})
    outcomes: dict[str, Outcome] = {
        service["id"]: {
            "id": service["id"],
            "is_sent": False,
            "is_refused": False,
            "reason": missing.as_json(),
        }
        for service in request["services"]
    }
    for line in output.splitlines(keepends=True):
        if line.endswith("\n"):  # ignore a line truncated when the process was killed
            outcome: Outcome = json.loads(line)
            outcomes[outcome["id"]] = outcome
    return outcomes
