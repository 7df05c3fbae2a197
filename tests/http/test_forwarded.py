"""Behind a proxy: the client's address is believed from trusted proxies only, and from the right-most hop."""

from ipaddress import ip_network

import pytest
from multidict import CIMultiDict

from relay.http.forwarded import NO_PROXIES, TrustedProxies

TRUSTED = TrustedProxies((ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8"), ip_network("2001:db8:1::/48")))
X = "X-Forwarded-For"

CASES = [
    ("203.0.113.9", [(X, "192.0.2.1")], "203.0.113.9"),
    ("127.0.0.1", [], "127.0.0.1"),
    ("127.0.0.1", [(X, "192.0.2.1")], "192.0.2.1"),
    ("127.0.0.1", [(X, "6.6.6.6, 192.0.2.1")], "192.0.2.1"),
    ("127.0.0.1", [(X, "6.6.6.6, 192.0.2.1, 10.1.2.3")], "192.0.2.1"),
    ("127.0.0.1", [(X, "6.6.6.6"), (X, "192.0.2.1"), (X, "10.1.2.3")], "192.0.2.1"),
    ("127.0.0.1", [(X, "10.0.0.7, 10.1.2.3")], "10.0.0.7"),
    ("127.0.0.1", [(X, "192.0.2.1, unknown, 10.1.2.3")], "10.1.2.3"),
    ("127.0.0.1", [(X, "nonsense")], "127.0.0.1"),
    ("127.0.0.1", [(X, " , ")], "127.0.0.1"),
    ("127.0.0.1", [(X, "192.0.2.1:4711")], "192.0.2.1"),
    ("127.0.0.1", [(X, "[2001:db8::7]:4711")], "2001:db8::7"),
    ("127.0.0.1", [(X, "2001:db8::7")], "2001:db8::7"),
    ("::ffff:127.0.0.1", [(X, "::ffff:192.0.2.1")], "192.0.2.1"),
    ("::ffff:203.0.113.9", [(X, "192.0.2.1")], "203.0.113.9"),
    ("2001:db8:1::5", [(X, "192.0.2.1")], "192.0.2.1"),
    ("127.0.0.1", [("Forwarded", "for=192.0.2.1;proto=https;by=10.0.0.1")], "192.0.2.1"),
    ("127.0.0.1", [("Forwarded", 'For="[2001:db8::7]:4711", for=10.0.0.7')], "2001:db8::7"),
    ("127.0.0.1", [("Forwarded", "proto=https; for=192.0.2.1")], "192.0.2.1"),
    ("127.0.0.1", [("Forwarded", "for=6.6.6.6, by=10.0.0.1")], "127.0.0.1"),
    ("127.0.0.1", [("Forwarded", "for=_hidden")], "127.0.0.1"),
    ("127.0.0.1", [(X, "192.0.2.1"), ("Forwarded", "for=192.0.2.1")], "192.0.2.1"),
    ("127.0.0.1", [(X, "192.0.2.1"), ("Forwarded", "for=6.6.6.6")], "127.0.0.1"),
    ("", [(X, "192.0.2.1")], ""),
]


@pytest.mark.parametrize(("peer", "headers", "client"), CASES)
def test_the_right_most_hop_that_is_not_trusted_is_the_client(
    peer: str, headers: list[tuple[str, str]], client: str
) -> None:
    assert TRUSTED.client(peer, CIMultiDict(headers)) == client


def test_without_a_trusted_proxy_nobody_is_believed() -> None:
    assert NO_PROXIES.client("127.0.0.1", CIMultiDict({X: "192.0.2.1"})) == "127.0.0.1"


def test_only_so_many_hops_are_followed() -> None:
    assert TRUSTED.client("127.0.0.1", CIMultiDict({X: "192.0.2.1" + ", 10.0.0.1" * 1_000})) == "10.0.0.1"
