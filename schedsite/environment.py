"""Readers for environment variables; an invalid value stops the start with an error that names the variable."""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
from contextlib import suppress
from email.utils import parseaddr
from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import validate_email

from notifications.transport.targets import parse_allow_list
from schedsite.production import weakness
from scheduler.engine.zones import zone_of
from scheduler.exceptions import InvalidScheduleError

TRUTH = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}
PROXY_HEADERS = ("X-Forwarded-Proto", "X-Forwarded-For", "X-Forwarded-Host")
MAKE_A_KEY = "create one with: python -c 'import secrets; print(secrets.token_urlsafe(50))'"
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]", "::1", "testserver", ".localhost"})


def text(name: str, default: str = "") -> str:
    """Return variable `name`, or the content of the file named by `NAME_FILE`, or `default`."""
    path = os.environ.get(f"{name}_FILE")
    if path:
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ImproperlyConfigured(f"{name}_FILE is {path!r}, which cannot be read: {error}") from error
    return os.environ.get(name) or default


def make_folder(name: str, path: Path) -> None:
    """Create the folder that variable `name` specifies, private to its owner, unless it exists.

    Raises:
        ImproperlyConfigured: it cannot be created.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(
            f"{name} is {str(path)!r}, which is not a folder and cannot be created: {error.strerror}"
        ) from error


def boolean(name: str, default: bool) -> bool:
    """Return variable `name` as a boolean."""
    value = text(name)
    if not value:
        return default
    if value.lower() not in TRUTH:
        raise ImproperlyConfigured(f"{name} is {value!r}; allowed are {', '.join(TRUTH)}")
    return TRUTH[value.lower()]


def number(name: str, default: float, *, minimum: float, maximum: float) -> float:
    """Return variable `name` as a number between the bounds, both inclusive."""
    value = text(name)
    try:
        result = float(value) if value else float(default)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is {value!r}; a number is needed") from error
    if not minimum <= result <= maximum:
        raise ImproperlyConfigured(f"{name} is {result:g}; allowed is {minimum:g} to {maximum:g}")
    return result


def integer(name: str, default: int, *, minimum: int, maximum: int) -> int:
    """Return variable `name` as an integer between the bounds, both inclusive."""
    result = number(name, default, minimum=minimum, maximum=maximum)
    if result != int(result):
        raise ImproperlyConfigured(f"{name} is {result:g}; a whole number is needed")
    return int(result)


def choice(name: str, default: str, allowed: tuple[str, ...]) -> str:
    """Return variable `name`, which must be one of `allowed`."""
    value = text(name, default)
    if value not in allowed:
        raise ImproperlyConfigured(f"{name} is {value!r}; allowed are {', '.join(allowed)}")
    return value


def words(name: str, default: str = "") -> list[str]:
    """Return variable `name`, comma-separated, as a list without empty items."""
    return [part.strip() for part in text(name, default).split(",") if part.strip()]


def targets(name: str) -> list[str]:
    """Return variable `name`: hosts, `*.suffixes`, addresses and networks, comma-separated."""
    items = words(name)
    try:
        parse_allow_list(items)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {error}") from error
    return items


def proxy_headers(name: str, default: str) -> tuple[str, ...]:
    """Return variable `name`: the trusted proxy headers; true means only the scheme."""
    value = text(name, default)
    if value.lower() in TRUTH:
        return PROXY_HEADERS[:1] if TRUTH[value.lower()] else ()
    known = {header.lower(): header for header in PROXY_HEADERS}
    found = [part.strip() for part in value.split(",") if part.strip()]
    for word in found:
        if word.lower() not in known:
            raise ImproperlyConfigured(
                f"{name} names {word!r}; allowed are {', '.join(PROXY_HEADERS)}, 1 (the first alone) and 0 (none)"
            )
    return tuple(known[word.lower()] for word in found)


def networks(name: str, default: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    """Return variable `name`: addresses and networks, comma-separated."""
    found = []
    for word in words(name, default):
        try:
            found.append(ipaddress.ip_network(word))
        except ValueError as error:
            raise ImproperlyConfigured(
                f"{name} names {word!r}; an address or a network such as 10.0.0.5 or 10.0.0.0/24 is needed: {error}"
            ) from error
    return tuple(found)


def web_address(name: str) -> str:
    """Return variable `name`: an http or https URL with a host, or nothing."""
    value = text(name)
    if not value:
        return ""
    try:
        parts = urlsplit(value)
        is_url = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url or not value.isprintable() or " " in value:
        # The value may contain a secret, such as a check id.
        raise ImproperlyConfigured(f"{name} must be an http or https URL such as https://example.org/ping")
    return value


def mail_sender(name: str, default: str) -> str:
    """Return variable `name`, which must be one email address, with or without a display name."""
    value = text(name, default)
    try:
        validate_email(parseaddr(value)[1])
    except ValidationError as error:
        raise ImproperlyConfigured(
            f"{name} is {value!r}; an address such as schedsite@example.org or "
            "Schedsite <schedsite@example.org> is needed"
        ) from error
    if not value.isprintable():
        raise ImproperlyConfigured(f"{name} is {value!r}; it must be one line")
    return value


def time_zone(name: str, default: str) -> str:
    """Return variable `name`, which must be an IANA time zone."""
    value = text(name, default)
    try:
        zone_of(value)  # the same check as for schedules: "localtime" would invalidate all of them
    except InvalidScheduleError as error:
        raise ImproperlyConfigured(
            f"{name} is {value!r}, which is not a zone of the IANA database (such as Asia/Shanghai)"
        ) from error
    return value


def queue(name: str, default: str) -> str:
    """Return variable `name`, which must be a valid queue name."""
    value = text(name, default)
    if re.fullmatch(r"[a-z0-9_-]{1,50}", value) is None:
        raise ImproperlyConfigured(f"{name} is {value!r}; allowed are 1 to 50 small letters, digits, _ and -")
    return value


def url(name: str, default: str = "", *, schemes: tuple[str, ...], example: str) -> str:
    """Return variable `name`, empty or a URL of one of `schemes`.

    Invalid values are not shown: they may contain a password.
    """
    value = text(name, default)
    allowed = [f"{scheme}://" for scheme in schemes]
    if value and not value.startswith(tuple(allowed)):
        raise ImproperlyConfigured(f"{name} must begin with {' or '.join(allowed)}, such as {example}")
    return value


def secret_key(*, is_local: bool, path: Path) -> str:
    """Return SECRET_KEY; if only this machine is served, generate it on first use and store it in `path`.

    Raises:
        ImproperlyConfigured: the key is missing although other hosts are served, or is too short or too easily guessed.
    """
    value = text("SECRET_KEY")
    if value:
        if len(value) < 32:
            raise ImproperlyConfigured(f"SECRET_KEY has {len(value)} characters; at least 32 are needed")
        reason = None if is_local else weakness(value)
        if reason is not None:
            raise ImproperlyConfigured(f"SECRET_KEY {reason}, so that it can be guessed; {MAKE_A_KEY}")
        return value
    if not is_local:
        raise ImproperlyConfigured(
            f"SECRET_KEY is required when ALLOWED_HOSTS names more than this machine; {MAKE_A_KEY}"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    if not path.exists():
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(50), encoding="utf-8")
        try:
            os.link(draft, path)  # several processes may start at once: the first key wins
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    with suppress(OSError):  # owned by another user
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
    return path.read_text(encoding="utf-8").strip()
