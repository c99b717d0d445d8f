"""Permitted target hosts: public ones, and those of an allow-list. Pure; without DNS lookups.

The rule is not "any address that is not private" but "global unicast only"; addresses that embed another address
(mapped, translated, tunnelled) are judged by the embedded one.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from notifications.engine.reasons import Code

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_HOST = re.compile(
    r"(?:\*\.)?(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
)

# Source: IANA special-purpose address registries; the last of the first table is Azure's host service.
_FORBIDDEN_V4 = tuple(
    (ipaddress.IPv4Network(network), reason)
    for network, reason in (
        ("0.0.0.0/8", Code.UNSPECIFIED),
        ("10.0.0.0/8", Code.PRIVATE),
        ("100.64.0.0/10", Code.SHARED_BY_CARRIER),
        ("127.0.0.0/8", Code.LOOPBACK),
        ("169.254.0.0/16", Code.LINK_LOCAL),
        ("172.16.0.0/12", Code.PRIVATE),
        ("192.0.0.0/24", Code.RESERVED),
        ("192.0.2.0/24", Code.FOR_DOCUMENTATION),
        ("192.88.99.0/24", Code.RESERVED),
        ("192.168.0.0/16", Code.PRIVATE),
        ("198.18.0.0/15", Code.FOR_BENCHMARKS),
        ("198.51.100.0/24", Code.FOR_DOCUMENTATION),
        ("203.0.113.0/24", Code.FOR_DOCUMENTATION),
        ("224.0.0.0/4", Code.MULTICAST),
        ("240.0.0.0/4", Code.RESERVED),
        ("168.63.129.16/32", Code.METADATA_SERVICE),
    )
)
_FORBIDDEN_V6 = tuple(
    (ipaddress.IPv6Network(network), reason)
    for network, reason in (
        ("::/128", Code.UNSPECIFIED),
        ("::1/128", Code.LOOPBACK),
        ("fc00::/7", Code.PRIVATE),
        ("fe80::/10", Code.LINK_LOCAL),
        ("ff00::/8", Code.MULTICAST),
        ("2001::/23", Code.TUNNEL_OR_RESERVED),
        ("2001:db8::/32", Code.FOR_DOCUMENTATION),
        ("2002::/16", Code.TUNNEL_6TO4),
        ("3fff::/20", Code.FOR_DOCUMENTATION),
    )
)
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_ISATAP = (0x00005EFE, 0x02005EFE)
_FORBIDDEN_NAMES = ("localhost", "metadata", "metadata.google.internal", "instance-data")


@dataclass(frozen=True, slots=True)
class AllowList:
    """Hosts and networks that are permitted although they are not public.

    Attributes:
        hosts: names, lower case.
        suffixes: endings with their dot, from items such as `*.example.org`.
        networks: of addresses.
    """

    hosts: frozenset[str] = frozenset()
    suffixes: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()

    def has_host(self, host: str) -> bool:
        """Return whether the name itself is on the list, whatever it resolves to."""
        name = canonical(host)
        return name in self.hosts or name.endswith(self.suffixes)

    def has_address(self, address: Address) -> bool:
        """Return whether the address is in a network of the list."""
        return any(address.version == network.version and address in network for network in self.networks)


def parse_allow_list(items: Iterable[str]) -> AllowList:
    """Parse an allow-list: each item is a host, `*.suffix`, an address, or a network such as 10.0.0.0/8.

    Raises:
        ValueError: an item is invalid; the text names it.
    """
    hosts: set[str] = set()
    suffixes: list[str] = []
    networks: list[Network] = []
    for item in items:
        network = _network(item)
        name = canonical(item.removeprefix("*."))
        if network is not None:
            networks.append(network)
        elif not _HOST.fullmatch(name) or len(name) > 253 or parse_literal(name) is not None:
            raise ValueError(
                f"{item!r} is not a host, *.suffix, address or network (such as hooks.example.org, "
                "*.example.org, 192.168.1.7, 10.0.0.0/8)"
            )
        elif item.startswith("*."):
            suffixes.append(f".{name}")
        else:
            hosts.add(name)
    return AllowList(frozenset(hosts), tuple(suffixes), tuple(networks))


def _network(item: str) -> Network | None:
    try:
        return ipaddress.ip_network(item.strip("[]"))
    except ValueError:
        pass
    if "/" in item:  # host names have no slash
        try:
            fixed = ipaddress.ip_network(item, strict=False)
        except ValueError:
            raise ValueError(f"{item!r} is not a network (such as 10.0.0.0/8 or fd00::/8)") from None
        raise ValueError(f"{item!r} has bits set beyond its mask; {fixed} was probably meant")
    return None


def canonical(host: str) -> str:
    """Return a host in canonical form: without brackets and final dot, lower case, NFKC."""
    name = unicodedata.normalize("NFKC", host).replace("。", ".").strip("[]").lower()
    return name.removesuffix(".")


def parse_literal(host: str) -> Address | None:
    """Return the address that a host spells, in any form that resolvers accept without a lookup.

    Besides the usual forms: 2130706433, 0x7f000001, 0177.0.0.1, 127.1 and full-width digits.
    """
    name = canonical(host).partition("%")[0]
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        pass
    if not re.fullmatch(r"[0-9a-fx.]+", name):
        return None
    try:
        return ipaddress.IPv4Address(socket.inet_aton(name))
    except OSError:
        return None


def embedded(address: Address) -> Address:
    """Return the IPv4 address embedded in an IPv6 address, or the address itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def why_forbidden(address: Address, allow: AllowList) -> Code | None:
    """Return why an address is forbidden, or None if it is permitted."""
    inner = embedded(address)
    if allow.has_address(address) or allow.has_address(inner):
        return None
    if isinstance(inner, ipaddress.IPv4Address):
        return next((reason for network, reason in _FORBIDDEN_V4 if inner in network), None)
    for network, reason in _FORBIDDEN_V6:
        if inner in network:
            return reason
    if inner not in _GLOBAL_V6:
        return Code.NOT_PUBLIC
    if (int(inner) >> 32) & 0xFFFFFFFF in _ISATAP:
        return Code.TUNNEL
    return None


def why_host_forbidden(host: str, allow: AllowList) -> Code | None:
    """Return why a host cannot be a target as spelt, or None; it is not resolved."""
    name = canonical(host)
    if not name:
        return Code.EMPTY_HOST
    if allow.has_host(name):
        return None
    address = parse_literal(name)
    if address is not None:
        return why_forbidden(address, allow)
    if name in _FORBIDDEN_NAMES or name.endswith(".localhost"):
        return Code.THIS_MACHINE
    return None
