"""Login throttling, with exemptions from waits that other clients caused.

Three counters refuse logins: per account and address, per address, and per account. The last one slows down guesses
from many addresses. It never locks the account holder out: a browser that has logged in before (proved by a signed
cookie) has a counter of its own, and an address that has not failed with this account is let through once.

Source: device cookies as the OWASP page "Slow Down Online Guessing Attacks with Device Cookies" describes them.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.core import signing

from schedsite.forwarded import network_of
from scheduler.choices import AuditKind, AuditOutcome
from scheduler.engine.limits import GuessLimit
from scheduler.exceptions import LimitReachedError
from scheduler.services import audit, limits
from scheduler.services.audit import Origin
from scheduler.services.limits import Counted, Scope, Taken

DEVICE_SALT = "scheduler.device"
DEVICE_DAYS = 180
FIRST_WAIT = 5.0
ADDRESS_WAIT = 120.0
ACCOUNT_FREE, ACCOUNT_WAIT = 20, 30.0


@dataclass(frozen=True)
class Attempt:
    """A login whose password may be checked."""

    account: str
    origin: Origin
    taken: Taken
    own: Counted


def begin(account: str, *, origin: Origin, device: str, now: datetime) -> Attempt:
    """Count a login before its password is checked.

    Args:
        account: the name that was entered, whether or not the account exists.
        device: value of the device cookie, or empty.

    Raises:
        LimitReachedError: the password must not be checked; recorded in the audit.
    """
    things = _counted(account[:150].replace("\0", ""), network_of(origin.address), device)
    try:
        return Attempt(account, origin, limits.take(things, now=now), things[0])
    except LimitReachedError:
        audit.record_often(AuditKind.LOGIN, AuditOutcome.REFUSED, account=account, origin=origin, now=now)
        raise


def succeed(attempt: Attempt) -> None:
    """Undo the counts of a login with the right password."""
    limits.give_back(attempt.taken)
    limits.forget(attempt.own)


def fail(attempt: Attempt, *, now: datetime) -> None:
    """Record a wrong password or an unknown account."""
    audit.record(
        AuditKind.LOGIN, AuditOutcome.FAILURE, account=attempt.account, origin=attempt.origin, now=now
    )


def device_cookie(account: str, known: str) -> str:
    """Return the device cookie to set after a login: the known one if it belongs to this account, or a new one."""
    if known and device_of(known, account):
        return known
    return signing.dumps([account, secrets.token_hex(8)], salt=DEVICE_SALT)


def device_of(cookie: str, account: str) -> str:
    """Return the device id in a cookie, or an empty string if it is not valid for this account."""
    try:
        owner, device = signing.loads(cookie, salt=DEVICE_SALT, max_age=DEVICE_DAYS * 86_400)
    except (signing.BadSignature, ValueError, TypeError):
        return ""
    return str(device) if owner == account else ""


def own_limit() -> GuessLimit:
    """Return the limit on guesses for one account from one address."""
    longest = settings.SCHEDULER_LOGIN_WAIT
    return GuessLimit(settings.SCHEDULER_LOGIN_ATTEMPTS, FIRST_WAIT, longest, forgiven_every=longest)


def _counted(account: str, address: str, cookie: str) -> list[Counted]:
    device = device_of(cookie, account) if cookie else ""
    if device:
        return [Counted(Scope.LOGIN, own_limit(), account, f"device {device}")]
    own = Counted(Scope.LOGIN, own_limit(), account, address)
    of_address = GuessLimit(
        settings.SCHEDULER_LOGIN_ADDRESS_ATTEMPTS, FIRST_WAIT, ADDRESS_WAIT, forgiven_every=ADDRESS_WAIT
    )
    of_account = GuessLimit(ACCOUNT_FREE, FIRST_WAIT, ACCOUNT_WAIT, forgiven_every=ACCOUNT_WAIT)
    return [
        own,
        Counted(Scope.LOGIN, of_address, "", address),
        Counted(Scope.LOGIN, of_account, account, "", is_obeyed=limits.is_counted(own)),
    ]
