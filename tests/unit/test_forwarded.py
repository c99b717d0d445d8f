"""Whose request it is, and what of a proxy's words is read: only what the settings name, only from where they say."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from schedsite import environment
from schedsite.forwarded import (
    NEVER_READ,
    TRUSTABLE,
    ForwardedHeadersMiddleware,
    client_address,
    meta_key,
    network_of,
    plain_address,
    untrusted,
)
from tests.support.cases import each_case


def request_from(peer: str, **headers: str) -> HttpRequest:
    """Return a request of a connection from `peer`."""
    return RequestFactory().get(
        "/", REMOTE_ADDR=peer, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


@pytest.fixture
def behind_proxies(settings: Any) -> None:
    """Trust all headers of 10.0.0.0/24 and of this machine."""
    settings.TRUST_PROXY_HEADERS = TRUSTABLE
    settings.TRUSTED_PROXIES = (ip_network("127.0.0.1"), ip_network("10.0.0.0/24"), ip_network("fd00::/8"))


def test_by_default_the_client_is_who_connected_whatever_the_headers_say() -> None:
    request = request_from("127.0.0.1", X_Forwarded_For="203.0.113.9", Forwarded="for=203.0.113.9")

    assert client_address(request) == "127.0.0.1"


@each_case(
    ("peer", "forwarded", "client"),
    [
        ("127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "198.51.100.1, 203.0.113.9", "203.0.113.9"),  # the first is the client's own invention
        ("127.0.0.1", "198.51.100.1, 203.0.113.9, 10.0.0.7", "203.0.113.9"),  # two proxies
        ("127.0.0.1", "10.0.0.7", "10.0.0.7"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # nobody vouches for it
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "unknown", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.1, <script>", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.9:4711", "203.0.113.9"),
        ("127.0.0.1", "[2001:DB8::1]:4711", "2001:db8::1"),
        ("::ffff:127.0.0.1", "::ffff:203.0.113.9", "203.0.113.9"),
        ("fd00::1", "2001:db8:0:0::1", "2001:db8::1"),
        ("127.0.0.1", ",".join(["10.0.0.7"] * 5000), "10.0.0.7"),
        ("", "203.0.113.9", ""),
    ],
)
@pytest.mark.usefixtures("behind_proxies")
def test_the_client_is_the_last_address_that_no_trusted_proxy_has(
    peer: str, forwarded: str, client: str
) -> None:
    request = request_from(peer, X_Forwarded_For=forwarded)

    assert client_address(request) == client


@each_case("text", ["", " ", "::1::", "1.2.3", "1.2.3.4.5", "localhost", "1.2.3.4, 5.6.7.8", "٣.1.1.1"])
def test_what_is_no_address_is_none(text: str) -> None:
    assert plain_address(text) is None


@each_case("header", [*NEVER_READ, *TRUSTABLE])
def test_no_header_of_a_proxy_passes_by_default(header: str) -> None:
    seen: list[HttpRequest] = []
    request = request_from("127.0.0.1", **{header.replace("-", "_"): "https"})
    assert meta_key(header) in request.META

    ForwardedHeadersMiddleware(lambda request: seen.append(request) or HttpResponse())(request)

    assert meta_key(header) not in seen[0].META
    assert header not in seen[0].headers
    assert not seen[0].is_secure()
    assert seen[0].get_host() == "testserver"


@pytest.mark.usefixtures("behind_proxies")
def test_trusted_headers_pass_from_a_trusted_proxy_only(settings: Any) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    secure: list[bool] = []
    middleware = ForwardedHeadersMiddleware(
        lambda request: secure.append(request.is_secure()) or HttpResponse()
    )

    for peer in ("127.0.0.1", "10.0.0.9", "203.0.113.9"):
        middleware(request_from(peer, X_Forwarded_Proto="https"))

    assert secure == [True, True, False]


@each_case(
    ("value", "headers"),
    [
        ("", ()),
        ("0", ()),
        ("false", ()),
        ("1", ("X-Forwarded-Proto",)),
        ("True", ("X-Forwarded-Proto",)),
        ("x-forwarded-for, X-FORWARDED-PROTO", ("X-Forwarded-For", "X-Forwarded-Proto")),
    ],
)
def test_trusted_headers_are_named(
    value: str, headers: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUST_PROXY_HEADERS", value)

    assert environment.proxy_headers("TRUST_PROXY_HEADERS", "0") == headers


def test_a_header_that_cannot_be_trusted_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUST_PROXY_HEADERS", "X-Forwarded-For,Remote-User")

    with pytest.raises(ImproperlyConfigured) as refused:
        environment.proxy_headers("TRUST_PROXY_HEADERS", "0")

    assert str(refused.value) == (
        "TRUST_PROXY_HEADERS names 'Remote-User'; allowed are X-Forwarded-Proto, X-Forwarded-For, X-Forwarded-Host, "
        "1 (the first alone) and 0 (none)"
    )


@each_case("value", ["proxy.example.org", "10.0.0.5/24", "10.0.0.0/33", "10.0.0.256"])
def test_a_proxy_that_is_no_network_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", f"127.0.0.1,{value}")

    with pytest.raises(ImproperlyConfigured) as refused:
        environment.networks("TRUSTED_PROXIES", "")

    assert str(refused.value).startswith(
        f"TRUSTED_PROXIES names {value!r}; an address or a network such as 10.0.0.5 or 10.0.0.0/24 is needed: "
    )


@each_case(
    ("address", "counted"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("", "-"),
        ("x" * 100, "x" * 64),
    ],
)
def test_a_host_fills_a_network_of_ipv6(address: str, counted: str) -> None:
    assert network_of(address) == counted


def test_headers_that_name_another_path_method_or_user_are_never_read() -> None:
    dangerous = {
        "X-Script-Name",
        "Script-Name",
        "X-Forwarded-Prefix",
        "Path-Info",
        "X-Original-URL",
        "X-Rewrite-URL",
    }
    dangerous |= {
        "X-HTTP-Method-Override",
        "X-Method-Override",
        "Remote-User",
        "X-Remote-User",
        "X-Forwarded-User",
    }

    assert dangerous <= set(untrusted("127.0.0.1"))
