"""The apprise channel: Slack, Telegram, DingTalk, Feishu, WeCom, ntfy and a hundred more services.

Apprise and its plugins open connections by many libraries, so they run in a process of their own in which every
connection is judged at the moment it is opened, no file is read and no program is started; see `apprise_process`.
That process is killed when the deadline is over, whatever it does then.
"""

from __future__ import annotations

import functools
import ipaddress
import json
import logging
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
from scheduler.config_file.problems import hint

logger = logging.getLogger(__name__)

LOADED_WITHIN = 30.0  # seconds
_PROCESS = [sys.executable, "-s", "-m", "notifications.apprise_process"]
_LEVELS = {
    **dict.fromkeys(("success", "recovered"), "success"),
    **dict.fromkeys(("business_failure", "technical_failure", "timeout", "overdue"), "failure"),
    **dict.fromkeys(("cancelled", "skipped", "missed"), "warning"),
}
# Of the environment of the site, which holds its secrets and may name proxies.
_PASSED_ON = ("LANG", "LC_ALL", "TZ", "PATH", "SSL_CERT_FILE")


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
        """Send to each service; an error carries what is left for those that did not take it."""
        urls = {_service_id(url): url for url in config["urls"]}
        services = [service for service in content["services"] if service["id"] in urls]
        if not services:
            raise SendError("the services of this message are no longer in the rule", is_permanent=True)
        request: Request = {
            "services": [{"id": service["id"], "url": urls[service["id"]]} for service in services],
            "title": content["title"],
            "body": content["body"],
            "level": content["level"],
            "allow": settings.SCHEDULER_WEBHOOK_ALLOW,
            "seconds": deadline,
        }
        return _report(content, services, _run(request, deadline))


def check_url(url: str) -> None:
    """Refuse an Apprise URL that cannot be used, as far as can be told without connecting.

    Raises:
        ValueError: its service acts on this machine or does not exist, or its host is a forbidden address.
    """
    kind = _service(url)
    if kind in REFUSED_SERVICES:
        raise ValueError(f"{kind}:// is not available: {REFUSED_SERVICES[kind]}")
    known = known_services()
    # Apprise takes the web addresses of some services as they are.
    if known and kind not in (*known, "http", "https"):
        raise ValueError(f"{kind}:// is not available: Apprise has no such service{hint(kind, known)}")
    try:
        host = canonical(urlsplit(url).hostname or "")
    except ValueError as error:
        raise ValueError(f"the URL is not valid: {error}") from error
    # For many services what stands there is a token, and a token of digits is no address.
    if host == "localhost" or _is_address(host):
        reason = why_host_forbidden(host, parse_allow_list(settings.SCHEDULER_WEBHOOK_ALLOW))
        if reason is not None:
            raise ForbiddenTargetError(refusal(host, reason))


@functools.cache
def known_services() -> tuple[str, ...]:
    """Return the first words of the URLs that Apprise knows, or nothing where it does not answer.

    It is asked once, in a process of its own: its plugins take a second and 50 MB to load.
    """
    try:
        answer = subprocess.run(
            [*_PROCESS, "services"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=settings.BASE_DIR,
            env=_environment(),
            timeout=LOADED_WITHIN,
            check=True,
        )
        return tuple(json.loads(answer.stdout))
    except (OSError, subprocess.SubprocessError, ValueError):
        logger.exception("the services of Apprise could not be listed; their names are not checked")
        return ()


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


def _report(content: Mapping[str, Any], services: list[dict[str, str]], outcomes: dict[str, Outcome]) -> str:
    """Return which services took the message.

    Raises:
        SendError: some did not.
    """
    failed = [service for service in services if not outcomes[service["id"]]["is_sent"]]
    sent = ", ".join(service["kind"] for service in services if service not in failed)
    if not failed:
        return f"sent to {sent}"
    said = "; ".join(f"{service['kind']}: {outcomes[service['id']]['reason']}" for service in failed)
    raise SendError(
        f"{said} (sent to {sent})" if sent else said,
        is_permanent=all(outcomes[service["id"]]["is_refused"] for service in failed),
        content={**content, "services": failed} if sent else None,
    )


def _run(request: Request, deadline: float) -> dict[str, Outcome]:
    """Return the outcome of each service by its id, also when the process did not live to report it."""
    process = subprocess.Popen(
        _PROCESS,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=settings.BASE_DIR,
        env=_environment(),
        start_new_session=True,
        text=True,
        encoding="utf-8",
    )
    with process:
        try:
            output, _ = process.communicate(json.dumps(request), timeout=deadline)
            missing = "the process that sends ended before it was done"
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            missing = f"not finished within {deadline:g} s"
    outcomes: dict[str, Outcome] = {
        service["id"]: {"id": service["id"], "is_sent": False, "is_refused": False, "reason": missing}
        for service in request["services"]
    }
    for line in output.splitlines(keepends=True):
        if line.endswith("\n"):  # what was cut in two when the process was killed does not count
            outcome: Outcome = json.loads(line)
            outcomes[outcome["id"]] = outcome
    return outcomes


def _environment() -> dict[str, str]:
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    if "SSL_CERT_FILE" in passed:  # what requests calls it
        passed["REQUESTS_CA_BUNDLE"] = passed["SSL_CERT_FILE"]
    return passed
