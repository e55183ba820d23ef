"""Which addresses and host names are on the public internet, by a table of our own.

`ipaddress.is_global` is not asked: it has changed between Python releases, knows no metadata service, and calls
addresses global that carry a private one inside. What is not plainly an address of the public internet is refused.

Sources, read in 2026:

- IANA IPv4 Special-Purpose Address Registry, www.iana.org/assignments/iana-ipv4-special-registry
- IANA IPv6 Special-Purpose Address Registry, www.iana.org/assignments/iana-ipv6-special-registry
- IANA IPv6 Global Unicast Address Assignments, www.iana.org/assignments/ipv6-unicast-address-assignments
- IANA Special-Use Domain Names, www.iana.org/assignments/special-use-domain-names

Absent: a NAT64 prefix that a network made of its own public addresses (RFC 6052, 2.2) looks like any other public
address, and nobody can tell from the address that it leads back inside.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address


def why_not(address: str) -> str | None:
    """Why a connection to this address is refused; None for an address of the public internet.

    Of an IPv6 address that carries IPv4 addresses (mapped, NAT64, 6to4, Teredo, ISATAP) each of those has to be
    public too. Anything but an address in its usual spelling is refused, also one that names an interface.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return "not an address"
    if isinstance(found, IPv4Address):
        return _why_not_4(found)
    return _why_not_6(found)


def why_not_name(host: str) -> str | None:
    """Why this host name, in lower case and IDNA's ASCII form, is not even looked up; None when it may be.

    Whatever a name leads to is checked besides; this is for names that mean another host in every network.
    """
    name = host.rstrip(".")
    if "." not in name:
        return "a name of the local network"
    if name in _METADATA_NAMES:
        return "a metadata service"
    if any(name.endswith(suffix) for suffix in _LOCAL_SUFFIXES):
        return "a name of the local network"
    return None


def embedded(address: IPv6Address) -> Iterator[IPv4Address]:
    """Every IPv4 address that this IPv6 address carries, by the forms whose place for it is fixed."""
    number = int(address)
    low = IPv4Address(number & 0xFFFFFFFF)
    if address in _MAPPED or address in _NAT64:
        yield low
    if address in _SIX_TO_FOUR:
        yield IPv4Address((number >> 80) & 0xFFFFFFFF)
    if address in _TEREDO:
        yield IPv4Address((number >> 64) & 0xFFFFFFFF)  # its server
        yield IPv4Address(~number & 0xFFFFFFFF)  # the client, all bits turned over
    if (number >> 32) & _ISATAP_MASK == _ISATAP:
        yield low


def _why_not_4(address: IPv4Address) -> str | None:
    if address in _METADATA_4:
        return "a metadata service"
    return next((what for network, what in _SPECIAL_4 if address in network), None)


def _why_not_6(address: IPv6Address) -> str | None:
    if address.scope_id is not None:
        return "a link-local address"
    for inner in embedded(address):
        what = _why_not_4(inner)
        if what is not None:
            return f"{what} inside an IPv6 address"
    if address in _MAPPED or address in _NAT64:
        return None  # it reaches the IPv4 address inside, which has just been looked at
    what = next((what for network, what in _SPECIAL_6 if address in network), None)
    if what is not None or address in _TEREDO or address in _SIX_TO_FOUR:
        return what
    if address in _PROTOCOLS_6:
        return "kept for protocols"
    return None if address in _UNICAST_6 else "not a public unicast address"


_METADATA_4 = frozenset(
    {
        IPv4Address("169.254.169.254"),  # nearly every cloud
        IPv4Address("100.100.100.200"),  # Alibaba Cloud
        IPv4Address("192.0.0.192"),  # Oracle Cloud
        IPv4Address("168.63.129.16"),  # Azure, in a range that is otherwise public
    }
)
"""Those of IPv6, such as fd00:ec2::254 and fd20:ce::254, are unique-local addresses and refused as such."""

_SPECIAL_4 = tuple(
    (IPv4Network(network), what)
    for network, what in (
        ("0.0.0.0/8", "this network"),  # RFC 791; on Linux 0.0.0.0 is the host itself
        ("10.0.0.0/8", "a private address"),  # RFC 1918
        ("100.64.0.0/10", "a provider's inner address"),  # RFC 6598
        ("127.0.0.0/8", "the host itself"),  # RFC 1122
        ("169.254.0.0/16", "a link-local address"),  # RFC 3927
        ("172.16.0.0/12", "a private address"),  # RFC 1918
        ("192.0.0.0/24", "kept for protocols"),  # RFC 6890, with the anycasts of RFC 7723 and 8155
        ("192.0.2.0/24", "for documentation"),  # RFC 5737
        ("192.31.196.0/24", "kept for protocols"),  # AS112, RFC 7535
        ("192.52.193.0/24", "kept for protocols"),  # AMT, RFC 7450
        ("192.88.99.0/24", "kept for protocols"),  # 6to4 relays, RFC 7526
        ("192.168.0.0/16", "a private address"),  # RFC 1918
        ("192.175.48.0/24", "kept for protocols"),  # AS112, RFC 7534
        ("198.18.0.0/15", "for benchmarks"),  # RFC 2544
        ("198.51.100.0/24", "for documentation"),  # RFC 5737
        ("203.0.113.0/24", "for documentation"),  # RFC 5737
        ("224.0.0.0/4", "a multicast address"),  # RFC 5771
        ("240.0.0.0/4", "a reserved address"),  # RFC 1112, with 255.255.255.255
    )
)

_MAPPED = IPv6Network("::ffff:0:0/96")  # RFC 4291; the kernel connects to the IPv4 address
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052
_SIX_TO_FOUR = IPv6Network("2002::/16")  # RFC 3056
_TEREDO = IPv6Network("2001::/32")  # RFC 4380
_ISATAP, _ISATAP_MASK = 0x00005EFE, 0xFDFFFFFF  # RFC 5214; the masked bit says "unique", and means nothing here

_UNICAST_6 = IPv6Network("2000::/3")
"""All that IANA hands out; whatever lies outside is loopback, compatible (::/96), translated (::ffff:0:0:0/96),
local NAT64 (64:ff9b:1::/48), discard (100::/64), segment routing (5f00::/16), unique-local (fc00::/7), link-local
(fe80::/10), site-local (fec0::/10), multicast (ff00::/8), or nobody's."""

_PROTOCOLS_6 = IPv6Network("2001::/23")  # RFC 2928: anycasts, benchmarks, AMT, AS112, ORCHID, drone ids

_SPECIAL_6 = tuple(
    (IPv6Network(network), what)
    for network, what in (
        ("::/128", "this network"),
        ("::1/128", "the host itself"),
        ("fc00::/7", "a private address"),  # RFC 4193
        ("fe80::/10", "a link-local address"),  # RFC 4291
        ("fec0::/10", "a private address"),  # RFC 3879
        ("ff00::/8", "a multicast address"),  # RFC 4291
        ("2001:db8::/32", "for documentation"),  # RFC 3849
        ("2620:4f:8000::/48", "kept for protocols"),  # AS112, RFC 7534
        ("3ffe::/16", "a reserved address"),  # the former 6bone, RFC 3701
        ("3fff::/20", "for documentation"),  # RFC 9637
    )
)

_METADATA_NAMES = frozenset(
    {
        "instance-data.ec2.internal",
        "metadata.azure.internal",
        "metadata.google.internal",
        "metadata.goog",
        "metadata.packet.net",
        "metadata.platformequinix.com",
        "metadata.tencentyun.com",
        "metadata.ufileos.com",
    }
)

_LOCAL_SUFFIXES = (
    ".alt",  # RFC 9476
    ".home.arpa",  # RFC 8375
    ".internal",  # kept free by ICANN for this
    ".invalid",  # RFC 6761
    ".local",  # RFC 6762
    ".localdomain",
    ".localhost",  # RFC 6761
    ".onion",  # RFC 7686
)
