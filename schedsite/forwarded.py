"""Proxy headers: the client's address and scheme, and the requested host name.

Only headers in `TRUST_PROXY_HEADERS` are used, and only from addresses in `TRUSTED_PROXIES`.
`client_address` is the single source of the client's identity for limits, throttles and the audit.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.request import split_domain_port, validate_host

from schedsite.environment import LOOPBACK_HOSTS, PROXY_HEADERS

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

FORWARDED_PROTO, FORWARDED_FOR, FORWARDED_HOST = TRUSTABLE = PROXY_HEADERS

#: Headers of other proxies and servers; never used, whatever is trusted.
NEVER_READ = (
    "Forwarded",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Server",
    "X-Forwarded-Ssl",
    "X-Real-IP",
    "X-Client-IP",
    "X-Script-Name",
    "Script-Name",
    "Path-Info",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-HTTP-Method",
    "X-HTTP-Method-Override",
    "X-Method-Override",
    "Remote-User",
    "X-Remote-User",
    "X-Forwarded-User",
)
#: Further headers by which a proxy shows itself, whatever is trusted.
SIGNS_OF_A_PROXY = ("Via", "CF-Connecting-IP", "True-Client-IP")
WAS_FORWARDED = "schedsite.was_forwarded"
NO_ADDRESS = "-"  # for a Unix socket
MOST_PROXIES = 20  # a longer chain is forged


def client_address(request: HttpRequest) -> str:
    """Return the client address of a request, such as `203.0.113.9` or `2001:db8::1`; empty for a Unix socket.

    The address of the connection, unless that is a trusted proxy whose `X-Forwarded-For` is used.
    """
    return address_behind(
        request.META.get("REMOTE_ADDR", ""), request.META.get("HTTP_X_FORWARDED_FOR", ""), is_trusted=is_proxy
    )


def address_behind(peer: str, forwarded_for: str, *, is_trusted: Callable[[str], bool]) -> str:
    """Return the address of a client, read from the right: each trusted proxy vouches for the entry before its own.

    Args:
        peer: the address of the connection.
        forwarded_for: value of `X-Forwarded-For`, of which a client may have forged all but the end.

    Source: the rightmost address that is not a trusted proxy, as in nginx's `real_ip_recursive`.
    """
    client = peer = plain_address(peer) or peer
    entries = forwarded_for.split(",")[-MOST_PROXIES:] if forwarded_for else []
    while entries and is_trusted(client):
        before = plain_address(entries.pop())
        if before is None:
            break
        client = before
    return client


def plain_address(text: str) -> str | None:
    """Return the canonical form of an address, without port, brackets, zone or IPv4-mapped prefix, or None."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def network_of(address: str) -> str:
    """Return the unit by which addresses are counted: itself, or for IPv6 its /64 network, which one host can fill."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64] or NO_ADDRESS
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def is_within(address: str, networks: Iterable[Network]) -> bool:
    """Return whether an address belongs to one of the networks; False for an invalid address."""
    plain = plain_address(address)
    if plain is None:
        return False
    found = ipaddress.ip_address(plain)
    return any(found.version == network.version and found in network for network in networks)


def is_proxy(address: str) -> bool:
    """Return whether `X-Forwarded-For` of a connection from this address is trusted."""
    return FORWARDED_FOR in settings.TRUST_PROXY_HEADERS and is_within(address, settings.TRUSTED_PROXIES)


def was_forwarded(request: HttpRequest) -> bool:
    """Return whether a proxy has probably forwarded a request; a client can only make this true."""
    return bool(request.META.get(WAS_FORWARDED, True))


def is_local(request: HttpRequest) -> bool:
    """Return whether a program on this host sent a request to this process itself, not through a proxy.

    A proxy that adds no header usually passes the name of the site on, which is not that of this host.
    """
    address = plain_address(request.META.get("REMOTE_ADDR", ""))
    if was_forwarded(request) or address is None:
        return False
    is_loopback = bool(ipaddress.ip_address(address).is_loopback)
    return is_loopback and validate_host(split_domain_port(request.get_host())[0], LOOPBACK_HOSTS)


def _shows_a_proxy(meta: Mapping[str, Any]) -> bool:
    if meta.get("SERVER_PROTOCOL") == "HTTP/1.0":  # nginx before 1.29.7, by default
        return True
    headers = (*NEVER_READ, *TRUSTABLE, *SIGNS_OF_A_PROXY)
    return any(meta_key(header) in meta for header in headers) or any(
        key.startswith("HTTP_X_FORWARDED") for key in meta
    )


def meta_key(header: str) -> str:
    """Return the WSGI environment key of a header."""
    return f"HTTP_{header.upper().replace('-', '_')}"


class ForwardedHeadersMiddleware:
    """Removes untrusted proxy headers, so that no code can rely on them; notes whether there were any."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Return the response."""
        request.META[WAS_FORWARDED] = _shows_a_proxy(request.META)
        for header in untrusted(request.META.get("REMOTE_ADDR", "")):
            request.META.pop(meta_key(header), None)
        return self.get_response(request)


def untrusted(peer: str) -> Sequence[str]:
    """Return the headers to ignore from an address."""
    trusted = settings.TRUST_PROXY_HEADERS if is_within(peer, settings.TRUSTED_PROXIES) else ()
    return [*NEVER_READ, *(header for header in TRUSTABLE if header not in trusted)]
