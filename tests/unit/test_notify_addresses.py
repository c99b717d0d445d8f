"""Which targets are permitted, by address and by spelling."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from notifications.channels.apprise import checks as apprise
from notifications.channels.webhook import checks as webhook
from notifications.exceptions import ForbiddenTargetError
from notifications.transport.connections import Deadline, permitted_addresses
from notifications.transport.targets import (
    AllowList,
    parse_allow_list,
    parse_literal,
    why_forbidden,
    why_host_forbidden,
)
from schedsite import environment
from tests.support.cases import each_case
from tests.unit.corpora import targets

NOTHING = AllowList()


@each_case("host", targets.LITERALS)
def test_forbidden_spelling_is_refused_when_a_rule_is_saved(host: str, settings: Any) -> None:
    settings.SCHEDULER_WEBHOOK_ALLOW = []

    with pytest.raises(
        ValueError, match=r"is not a permitted target \(.+\); SCHEDULER_WEBHOOK_ALLOW can permit it"
    ):
        webhook.check_url(f"http://{host}/hook")


@each_case("host", targets.LITERALS)
def test_forbidden_spelling_is_refused_before_a_resolver_is_asked(host: str) -> None:
    asked: list[str] = []

    def resolver(name: str, _port: int) -> list[str]:
        asked.append(name)
        return ["93.184.216.34"]

    with Deadline(5) as deadline, pytest.raises(ForbiddenTargetError):
        permitted_addresses(host.strip("[]"), 80, allow=NOTHING, resolver=resolver, deadline=deadline)

    assert asked == []


@each_case("answers", targets.ANSWERS, ids=" ".join)
def test_name_is_refused_when_any_of_its_addresses_is_forbidden(answers: tuple[str, ...]) -> None:
    with (
        Deadline(5) as deadline,
        pytest.raises(ForbiddenTargetError, match=r"^hooks.example.org resolves to .+, not"),
    ):
        permitted_addresses(
            "hooks.example.org", 80, allow=NOTHING, resolver=lambda _h, _p: list(answers), deadline=deadline
        )


@each_case("host", targets.PUBLIC)
def test_public_host_is_permitted(host: str, settings: Any) -> None:
    settings.SCHEDULER_WEBHOOK_ALLOW = []

    webhook.check_url(f"https://{host}/hook")


@each_case("url", targets.URLS)
def test_url_that_is_not_plain_http_to_a_public_host_is_refused(url: str, settings: Any) -> None:
    settings.SCHEDULER_WEBHOOK_ALLOW = []

    with pytest.raises(ValueError):
        webhook.check_url(url)


def test_every_address_of_the_special_purpose_registries_is_judged_like_the_standard_library_or_stricter() -> (
    None
):
    """Where Python says "not global" we must not say "permitted"; F30 lists where Python is too kind."""
    samples = [ipaddress.ip_address(number << 16) for number in range(0, 2**16, 7)]
    samples += [ipaddress.IPv6Address(number << 112) for number in range(0, 2**16, 5)]

    kinder = [
        address for address in samples if not address.is_global and why_forbidden(address, NOTHING) is None
    ]

    assert kinder == []


@each_case(
    ("item", "host", "is_allowed"),
    [
        ("hooks.internal", "hooks.internal", True),
        ("hooks.internal", "HOOKS.Internal.", True),
        ("hooks.internal", "a.hooks.internal", False),
        ("hooks.internal", "hooks.internal.evil.example", False),
        ("*.corp.example", "a.corp.example", True),
        ("*.corp.example", "a.b.corp.example", True),
        ("*.corp.example", "corp.example", False),
        ("*.corp.example", "evilcorp.example", False),
        ("localhost", "localhost", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "2130706433", True),
        ("127.0.0.1", "[::ffff:127.0.0.1]", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.1", "localhost", False),
        ("10.0.0.0/8", "10.9.8.7", True),
        ("10.0.0.0/8", "11.0.0.1", True),  # public anyway
        ("10.0.0.0/8", "192.168.0.1", False),
        ("fd00::/8", "[fd00::5]", True),
        ("fd00::/8", "[fc00::5]", False),
        ("::1", "[::1]", True),
        ("[::1]", "[::1]", True),
    ],
)
def test_allow_list_permits_what_it_names_and_nothing_else(item: str, host: str, is_allowed: bool) -> None:
    forbidden = why_host_forbidden(host, parse_allow_list([item]))

    name_is_allowed = parse_allow_list([item]).has_host(host)
    assert (name_is_allowed or (parse_literal(host) is not None and forbidden is None)) is is_allowed


@each_case(
    ("item", "message"),
    [
        ("10.0.0.1/8", "'10.0.0.1/8' has bits set beyond its mask; 10.0.0.0/8 was probably meant"),
        ("10.0.0.0/33", "'10.0.0.0/33' is not a network"),
        ("http://example.org", "'http://example.org' is not a network"),
        ("example.org:80", "'example.org:80' is not a host, "),
        ("*", r"'\*' is not a host"),
        ("*.", r"'\*.' is not a host"),
        ("a.*.org", r"'a.\*.org' is not a host"),
        ("-bad.org", "'-bad.org' is not a host"),
        ("has space.org", "'has space.org' is not a host"),
        ("2130706433", "'2130706433' is not a host"),
        ("0x7f000001", "'0x7f000001' is not a host"),
        ("127.1", "'127.1' is not a host"),
        ("例子.org", "'例子.org' is not a host"),
        ("a" * 64 + ".org", "is not a host"),
    ],
)
def test_allow_list_that_cannot_be_read_is_refused_at_start(
    item: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCHEDULER_WEBHOOK_ALLOW", f"example.org, {item}")

    with pytest.raises(environment.ImproperlyConfigured, match=f"SCHEDULER_WEBHOOK_ALLOW: .*{message}"):
        environment.targets("SCHEDULER_WEBHOOK_ALLOW")


def test_allowed_name_may_resolve_to_any_address() -> None:
    allow = parse_allow_list(["hooks.internal"])

    with Deadline(5) as deadline:
        found = permitted_addresses(
            "hooks.internal", 80, allow=allow, resolver=lambda _h, _p: ["10.0.0.9"], deadline=deadline
        )

    assert found == ["10.0.0.9"]


@each_case(
    "url",
    [
        "dbus://",
        "syslog://",
        "gnome://",
        "MACOSX://",
        "windows://",
        "vapid://mail@example.org/x",
        "json://127.0.0.1/",
        "jsons://[::1]/",
        "mailto://user:secret@10.0.0.1",
        "ntfy://localhost/topic",
    ],
)
def test_apprise_url_that_acts_on_this_machine_is_refused_when_a_rule_is_saved(
    url: str, settings: Any
) -> None:
    settings.SCHEDULER_WEBHOOK_ALLOW = []

    with pytest.raises(ValueError, match=r"is not available: |is not a permitted target"):
        apprise.check_url(url)


def test_apprise_url_of_no_service_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(
        ValueError, match=r"^slak:// .*: Apprise has no such service; did you mean \"slack\"\?$"
    ):
        apprise.check_url("slak://T1/B2/C3")


def test_web_address_of_a_service_is_left_to_apprise() -> None:
    apprise.check_url("https://hooks.slack.com/services/T1/B2/C3")


@pytest.mark.parametrize(
    "url",
    [
        "ntfy://topic",
        "tgram://2130706433:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA/12345",
        "slack://T1/B2/C3",
        "json://host",
    ],
)
def test_apprise_url_whose_host_may_be_a_token_is_left_to_the_moment_of_connecting(
    url: str, settings: Any
) -> None:
    settings.SCHEDULER_WEBHOOK_ALLOW = []

    apprise.check_url(url)


@each_case(
    ("value", "is_accepted"),
    [
        ("ops@example.org", True),
        ("Schedsite <ops@example.org>", True),
        ("ops", False),
        ("Schedsite <>", False),
        ("a@example.org\nBcc: b@example.org", False),
    ],
)
def test_sender_must_be_one_mail_address(
    value: str, is_accepted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEFAULT_FROM_EMAIL", value)

    if is_accepted:
        assert environment.mail_sender("DEFAULT_FROM_EMAIL", "") == value
    else:
        with pytest.raises(environment.ImproperlyConfigured, match="DEFAULT_FROM_EMAIL is "):
            environment.mail_sender("DEFAULT_FROM_EMAIL", "")
