"""Which hosts messages may be sent to: public ones, and those of an allow-list. Pure; no look-up is made here.

The rule is not "what is not private" but "what is global unicast": addresses which carry another address inside
(mapped, translated, tunnelled) are judged by that one.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_HOST = re.compile(
    r"(?:\*\.)?(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
)

# Source: IANA special-purpose address registries; the last of the first table is Azure's host service.
_FORBIDDEN_V4 = tuple(
    (ipaddress.IPv4Network(network), reason)
    for network, reason in (
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by a carrier"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "for documentation"),
        ("192.88.99.0/24", "reserved"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "for benchmarks"),
        ("198.51.100.0/24", "for documentation"),
        ("203.0.113.0/24", "for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
        ("168.63.129.16/32", "a metadata service"),
    )
)
_FORBIDDEN_V6 = tuple(
    (ipaddress.IPv6Network(network), reason)
    for network, reason in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("ff00::/8", "multicast"),
        ("2001::/23", "a tunnel or reserved"),
        ("2001:db8::/32", "for documentation"),
        ("2002::/16", "a 6to4 tunnel"),
        ("3fff::/20", "for documentation"),
    )
)
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_ISATAP = (0x00005EFE, 0x02005EFE)
_FORBIDDEN_NAMES = ("localhost", "metadata", "metadata.google.internal", "instance-data")


@dataclass(frozen=True, slots=True)
class AllowList:
    """Hosts and networks that may be reached although they are not public.

    Attributes:
        hosts: names, lower case.
        suffixes: endings with their dot, from items such as `*.example.org`.
        networks: of addresses.
    """

    hosts: frozenset[str] = frozenset()
    suffixes: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()

    def has_host(self, host: str) -> bool:
        """Tell whether the name itself is on the list, whatever it resolves to."""
        name = canonical(host)
        return name in self.hosts or name.endswith(self.suffixes)

    def has_address(self, address: Address) -> bool:
        """Tell whether the address is in a network of the list."""
        return any(address.version == network.version and address in network for network in self.networks)


def parse_allow_list(items: Iterable[str]) -> AllowList:
    """Return the allow-list that the items spell: a host, `*.suffix`, an address, or a network such as 10.0.0.0/8.

    Raises:
        ValueError: an item is none of these; the text names it.
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
                f"{item!r} is no host, *.suffix, address or network (such as hooks.example.org, "
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
    if "/" in item:  # a name has none, so a network was meant
        try:
            fixed = ipaddress.ip_network(item, strict=False)
        except ValueError:
            raise ValueError(f"{item!r} is no network (such as 10.0.0.0/8 or fd00::/8)") from None
        raise ValueError(f"{item!r} has bits set beyond its mask; {fixed} was probably meant")
    return None


def canonical(host: str) -> str:
    """Return a host as it is compared: without brackets and final dot, in lower case and compatibility form."""
    name = unicodedata.normalize("NFKC", host).replace("。", ".").strip("[]").lower()
    return name.removesuffix(".")


def parse_literal(host: str) -> Address | None:
    """Return the address that a host spells, in any form that a resolver takes without asking anybody.

    Besides the usual forms these are 2130706433, 0x7f000001, 0177.0.0.1, 127.1 and full-width digits.
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
    """Return the IPv4 address that reaches the same host as an IPv6 one that carries it, or the address itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def why_forbidden(address: Address, allow: AllowList) -> str | None:
    """Return what is wrong with an address as a word or two, or None when messages may be sent there."""
    inner = embedded(address)
    if allow.has_address(address) or allow.has_address(inner):
        return None
    if isinstance(inner, ipaddress.IPv4Address):
        return next((reason for network, reason in _FORBIDDEN_V4 if inner in network), None)
    for network, reason in _FORBIDDEN_V6:
        if inner in network:
            return reason
    if inner not in _GLOBAL_V6:
        return "not public"
    if (int(inner) >> 32) & 0xFFFFFFFF in _ISATAP:
        return "a tunnel"
    return None


def why_host_forbidden(host: str, allow: AllowList) -> str | None:
    """Return why a host as it is spelt cannot be a target, or None; what a name resolves to is not asked."""
    name = canonical(host)
    if not name:
        return "empty"
    if allow.has_host(name):
        return None
    address = parse_literal(name)
    if address is not None:
        return why_forbidden(address, allow)
    if name in _FORBIDDEN_NAMES or name.endswith(".localhost"):
        return "this machine or its metadata service"
    return None
