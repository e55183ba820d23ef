"""The table of addresses: what is public, what is not, whatever it is wrapped in."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.outbound.addresses import why_not, why_not_name
from tests.outbound.hostile import BAD_4, BAD_6, GOOD_4, GOOD_6, wrappings_of


@pytest.mark.parametrize("address", [*BAD_4, *BAD_6])
def test_what_is_not_public_is_refused_with_a_reason(address: str) -> None:
    """Special, private, reserved, local, and the metadata services of the clouds."""
    assert why_not(address)


@pytest.mark.parametrize("address", [*GOOD_4, *GOOD_6])
def test_public_addresses_are_not_refused(address: str) -> None:
    """Also right beside a range that is special, and also inside NAT64, through which whole networks look."""
    assert why_not(address) is None


@pytest.mark.parametrize("text", ["", "localhost", "127.1", "0x7f000001", "010.0.0.1", "1.1.1.1 ", "1.1.1.1%1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    """Whoever asks has parsed it already; a spelling that is read in two ways is read in none."""
    assert why_not(text)


@given(st.ip_addresses(v=4))
def test_no_wrapping_hides_an_address(inner: IPv4Address) -> None:
    """An address that is refused is refused in every form that carries it."""
    if why_not(str(inner)) is not None:
        for wrapped in wrappings_of(str(inner)):
            assert why_not(wrapped), wrapped


@given(st.ip_addresses(v=6), st.ip_addresses(v=4))
def test_no_prefix_hides_an_address_behind_an_interface_id(outer: IPv6Address, inner: IPv4Address) -> None:
    """ISATAP works under any prefix, 6to4 and Teredo included."""
    number = (int(outer) >> 64 << 64) | (0x5EFE << 32) | int(inner)
    if why_not(str(inner)) is not None:
        assert why_not(str(IPv6Address(number)))


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_what_python_calls_special_is_refused(address: IPv4Address | IPv6Address) -> None:
    """Our table is ours, but never laxer than the standard library's about what is plainly not global.

    Of wrapped addresses the two may differ, of protocol anycasts ours is the stricter.
    """
    special = address.is_private or address.is_multicast or address.is_reserved or address.is_link_local
    wrapped = isinstance(address, IPv6Address) and (
        address.ipv4_mapped is not None or address in _NAT64_SPACE or address.sixtofour is not None
    )
    if special and not wrapped:
        assert why_not(str(address))


@given(st.integers(0, 2**128 - 1))
def test_outside_of_the_unicast_space_only_two_forms_pass(number: int) -> None:
    """2000::/3 is all that IANA hands out; besides it only mapped and NAT64 forms reach somebody."""
    address = IPv6Address(number)
    if why_not(str(address)) is None and not 0x2 <= number >> 124 <= 0x3:
        assert number >> 32 in (0xFFFF, 0x64FF9B << 64)


@pytest.mark.parametrize(
    "name", ["metadata.goog", "a.internal", "a.local.", "localhost", "intranet", "x.home.arpa"]
)
def test_names_of_other_networks_are_not_even_looked_up(name: str) -> None:
    """They mean another host in every network, so looking them up says something about ours."""
    assert why_not_name(name)


@pytest.mark.parametrize(
    "name", ["example.com", "internal.example.com", "local.io", "notlocalhost.io", "goog.com"]
)
def test_ordinary_names_are_looked_up(name: str) -> None:
    """A word inside a name is nothing to go by."""
    assert why_not_name(name) is None


class _Nat64Space:
    def __contains__(self, address: object) -> bool:
        return int(ip_address(str(address))) >> 32 == 0x64FF9B << 64


_NAT64_SPACE = _Nat64Space()
