"""The apprise channel: Slack, Telegram, DingTalk, Feishu, WeCom, ntfy and a hundred more services.

Apprise and its plugins open connections by many libraries, so they run in a process of their own in which every
connection is judged at the moment it is opened, no file is read and no program is started; see `apprise_process`.
That process is killed when the deadline is over, whatever it does then.
"""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.crypto import salted_hmac

from notifications import default_texts, rendering
from notifications.addresses import canonical, parse_allow_list, why_host_forbidden
from notifications.apprise_process import REFUSED_SERVICES, Outcome, Request
from notifications.channels.base import Facts
from notifications.connections import refusal
from notifications.exceptions import ForbiddenTargetError, SendError

_LEVELS = {
    **dict.fromkeys(("success", "recovered"), "success"),
    **dict.fromkeys(("business_failure", "technical_failure", "timeout", "overdue"), "failure"),
    **dict.fromkeys(("cancelled", "skipped", "missed"), "warning"),
}
# Of the environment of the site, which holds its secrets and may name proxies.
_PASSED_ON = ("LANG", "LC_ALL", "TZ", "PATH", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


@dataclass(frozen=True, slots=True)
class AppriseChannel:
    """Sends to the services of Apprise."""

    kind: str = "apprise"

    def compose(self, config: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
        """Return title, body and level, and the services by kind; the rest of their URLs may be secret."""
        texts = default_texts.texts_for(facts)
        return {
            "title": rendering.render_subject(config.get("subject_template") or texts.subject, facts.values),
            "body": rendering.render(config.get("body_template") or texts.body, facts.values),
            "level": _LEVELS.get(facts.event, "info"),
            "services": [{"kind": _service(url), "id": _service_id(url)} for url in config["urls"]],
        }

    def send(
        self, config: Mapping[str, Any], content: Mapping[str, Any], *, key: str, deadline: float
    ) -> str:
        """Send to each service; those that took it are not in the content of the error for the others."""
        left = {service["id"]: service["kind"] for service in content["services"]}
        urls = {_service_id(url): url for url in config["urls"]}
        request: Request = {
            "services": [{"id": name, "url": urls[name]} for name in left if name in urls],
            "title": content["title"],
            "body": content["body"],
            "level": content["level"],
            "allow": settings.SCHEDULER_WEBHOOK_ALLOW,
            "seconds": deadline,
        }
        if not request["services"]:
            raise SendError("the services of this message are no longer in the rule", is_permanent=True)
        outcomes = {outcome["id"]: outcome for outcome in _run(request, deadline)}
        failed = {
            name: outcomes[name]["reason"] if name in outcomes else f"not finished within {deadline:g} s"
            for name in left
            if name in urls and not (name in outcomes and outcomes[name]["is_sent"])
        }
        sent = [left[name] for name in left if name in outcomes and name not in failed]
        if failed:
            said = "; ".join(f"{left[name]}: {reason}" for name, reason in failed.items())
            services = [service for service in content["services"] if service["id"] in failed]
            is_permanent = all(left[name] in REFUSED_SERVICES for name in failed)
            raise SendError(
                f"{said} (sent to {', '.join(sent)})" if sent else said,
                is_permanent=is_permanent,
                content={**content, "services": services} if sent else None,
            )
        return f"sent to {', '.join(sent)}"


def check_url(url: str) -> None:
    """Refuse an Apprise URL that cannot be used, as far as can be told without loading Apprise.

    Raises:
        ValueError: its service acts on this machine, or its host is a forbidden address.
    """
    kind = _service(url)
    if kind in REFUSED_SERVICES:
        raise ValueError(f"{kind}:// is not available: {REFUSED_SERVICES[kind]}")
    try:
        host = canonical(urlsplit(url).hostname or "")
    except ValueError as error:
        raise ValueError(f"the URL is not valid: {error}") from error
    # For many services what stands there is a token, and a token of digits is no address.
    if host == "localhost" or _is_address(host):
        reason = why_host_forbidden(host, parse_allow_list(settings.SCHEDULER_WEBHOOK_ALLOW))
        if reason is not None:
            raise ForbiddenTargetError(refusal(host, reason))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _service(url: str) -> str:
    return url.partition("://")[0].lower()


def _service_id(url: str) -> str:
    """Return a name for a URL that tells nothing of it."""
    return salted_hmac("notifications.apprise", url, algorithm="sha256").hexdigest()[:12]


def _run(request: Request, deadline: float) -> list[Outcome]:
    """Return the outcomes that the process reported before it ended or was killed."""
    process = subprocess.Popen(
        [sys.executable, "-s", "-m", "notifications.apprise_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=settings.BASE_DIR,
        env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        start_new_session=True,
        text=True,
        encoding="utf-8",
    )
    with process:
        try:
            output, _ = process.communicate(json.dumps(request), timeout=deadline)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
    # A line that the end of the process cut in two is not counted.
    return [json.loads(line) for line in output.splitlines(keepends=True) if line.endswith("\n")]
