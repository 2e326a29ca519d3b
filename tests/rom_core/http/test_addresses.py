"""One address, one form: whatever a proxy writes, the same client is the same text."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rom_core.http.addresses import canonical, client_address, network


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.1.0.1", "10.1.0.1"),
        ("10.1.0.1:4711", "10.1.0.1"),
        ("[2001:db8::3]:4711", "2001:db8::3"),
        ("[2001:db8::3]", "2001:db8::3"),
        ('"[2001:db8::3]:4711"', "2001:db8::3"),
        ("2001:DB8:0:0::3", "2001:db8::3"),
        ("::ffff:10.1.0.1", "10.1.0.1"),
        ("[::ffff:10.1.0.1]:80", "10.1.0.1"),
        ("::ffff:a01:1", "10.1.0.1"),
        ("fe80::1%eth0", "fe80::1"),
        (" 10.1.0.1 ", "10.1.0.1"),
        ("10.1.0.1%eth0", ""),
        ("unknown", ""),
        ("_hidden:80", ""),
        ("10.1.0.1.5", ""),
        ("010.1.0.1", ""),
        ("", ""),
        ("[", ""),
    ],
)
def test_an_address_has_one_form(text: str, address: str) -> None:
    """Port, brackets, quotes and zone are off, mapped addresses unmapped; what is no address is none."""
    assert canonical(text) == address


@given(st.ip_addresses(), st.integers(0, 65535))
def test_a_port_changes_nothing(address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> None:
    """With and without a port, in any spelling, and taken twice."""
    bare = f"[{address}]" if address.version == 6 else str(address)
    assert canonical(f"{bare}:{port}") == canonical(str(address)) == canonical(address.exploded)
    assert canonical(canonical(str(address))) == canonical(str(address))


@given(st.text(max_size=60), st.integers(0, 10))
def test_any_header_gives_an_address(header: str, proxies: int) -> None:
    """Never an error, never text of the client's: an address, or the peer's."""
    found = client_address("192.0.2.1", header, proxies)
    assert str(ipaddress.ip_address(found)) == found


@pytest.mark.parametrize(
    ("peer", "header", "proxies", "address"),
    [
        ("192.0.2.1", "10.0.0.1", 0, "192.0.2.1"),
        ("192.0.2.1", "", 2, "192.0.2.1"),
        ("::ffff:192.0.2.1", "", 0, "192.0.2.1"),
        ("192.0.2.1", "6.6.6.6, [2001:db8::3]:4711", 1, "2001:db8::3"),
        ("192.0.2.1", "6.6.6.6, ::ffff:10.0.0.1, 10.0.0.2", 2, "10.0.0.1"),
        ("192.0.2.1", "6.6.6.6, unknown", 1, "192.0.2.1"),
        ("/run/rom.sock", "", 0, "/run/rom.sock"),
    ],
)
def test_the_trusted_proxies_say_who_it_is(peer: str, header: str, proxies: int, address: str) -> None:
    """The entry of the outermost trusted proxy; an entry that is no address leaves the peer."""
    assert client_address(peer, header, proxies) == address


def test_an_ipv6_client_is_its_64() -> None:
    """Whoever has one address of a /64 has all of them."""
    assert network("2001:db8:0:1::1") == network("2001:db8:0:1:ffff::9") != network("2001:db8:0:2::1")
    assert network("10.0.0.1") != network("10.0.0.2")
