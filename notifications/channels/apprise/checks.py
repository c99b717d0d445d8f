"""Checks of Apprise URLs, as far as possible without connecting."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from django.conf import settings

from notifications.channels.apprise.process import REFUSED_SERVICES, UNKNOWN_FORM
from notifications.channels.apprise.reasons import Code
from notifications.channels.apprise.robot_addresses import form_for
from notifications.channels.apprise.services import known_services, missing_in
from notifications.engine.reasons import Code as CommonCode
from notifications.exceptions import ForbiddenTargetError
from notifications.transport.connections import refusal
from notifications.transport.targets import canonical, parse_allow_list, why_host_forbidden
from scheduler.config_file.problems import nearest
from scheduler.config_file.url_masking import masked_url
from scheduler.engine.reasons import Reason


def check_url(url: str) -> None:
    """Reject an Apprise URL that cannot be used, as far as can be decided without connecting.

    Raises:
        ValueError: its service acts on this machine or does not exist, its host is a forbidden address, or Apprise
            cannot parse it; for the address of a known robot the message contains the Apprise format.
    """
    kind = service_of(url)
    if kind in REFUSED_SERVICES:
        raise ValueError(_not_available(kind, Reason(REFUSED_SERVICES[kind])))
    known = known_services()
    # Apprise accepts the web addresses of some services as they are.
    if known and kind not in (*known, "http", "https"):
        unknown, near = Reason(Code.SERVICE_UNKNOWN), nearest(kind, known)
        if near is not None:
            unknown = Reason(
                CommonCode.SEVERAL, {"parts": [unknown, Reason(Code.DID_YOU_MEAN, {"name": near})]}
            )
        raise ValueError(_not_available(kind, unknown))
    try:
        host = canonical(urlsplit(url).hostname or "")
    except ValueError as error:
        raise ValueError(Reason(CommonCode.URL_NOT_VALID, {"error": str(error)})) from error
    # For many services the host part is a token, and a numeric token is not an address.
    if host == "localhost" or _is_address(host):
        reason = why_host_forbidden(host, parse_allow_list(settings.SCHEDULER_WEBHOOK_ALLOW))
        if reason is not None:
            raise ForbiddenTargetError(refusal(host, reason))
    _check_service(url)


def _not_available(kind: str, why: Reason) -> Reason:
    return Reason(Code.SERVICE_NOT_AVAILABLE, {"url": f"{kind}://", "why": why})


def _check_service(url: str) -> None:
    missing = missing_in(url)
    if not missing:
        return
    values = {"url": masked_url(url)}
    form = form_for(url)
    if form is not None:
        raise ValueError(Reason(Code.SERVICE_FORM, {**values, "name": form[0], "form": form[1]}))
    if service_of(url) in ("http", "https"):
        raise ValueError(Reason(Code.SERVICE_IS_WEBHOOK, values))
    if missing == UNKNOWN_FORM:
        raise ValueError(Reason(Code.SERVICE_FORM_UNKNOWN, values))
    raise ValueError(Reason(Code.SERVICE_NOT_MADE, {**values, "error": missing}))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def service_of(url: str) -> str:
    """Return the service of a URL: its scheme."""
    return url.partition("://")[0].lower()
