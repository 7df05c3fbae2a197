"""Which addresses no public service has, beside what this Python's `ipaddress` says."""

import random
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from relay.private_addresses import METADATA, private_host, private_kind


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("0.0.0.0", "unspecified"),
        ("0.1.2.3", "unspecified"),
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("10.0.0.0", "private"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.168.1.1", "private"),
        ("169.254.0.1", "link-local"),
        ("169.254.169.254", METADATA),
        ("169.254.170.2", METADATA),
        ("100.64.0.0", "shared by a carrier's customers"),
        ("100.127.255.255", "shared by a carrier's customers"),
        ("100.100.100.200", METADATA),
        ("168.63.129.16", METADATA),
        ("192.0.0.8", "reserved"),
        ("198.19.255.255", "for benchmarks"),
        ("203.0.113.7", "for documentation"),
        ("224.0.0.1", "multicast"),
        ("255.255.255.255", "reserved"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("fe80::1", "link-local"),
        ("fe80::1%2", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("fec0::1", "private"),
        ("fc00::1", "unique local"),
        ("fd12:3456:789a::1", "unique local"),
        ("fd00:ec2::254", METADATA),
        ("fd20:ce::254", METADATA),
        ("ff02::1", "multicast"),
        ("2001:db8::1", "for documentation"),
        ("3fff:fff::1", "for documentation"),
        ("2001:0:7f00:1::", "reserved"),  # Teredo
        ("100::1", "reserved"),
        ("4000::1", "reserved"),
        ("64:ff9b:1::a00:1", "reserved"),  # NAT64 of one's own
        # IPv4 within IPv6
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:10.0.0.1", "private"),
        ("::ffff:169.254.169.254", METADATA),
        ("::ffff:0:127.0.0.1", "reserved"),  # translated, RFC 2765
        ("::127.0.0.1", "reserved"),  # compatible, RFC 4291
        ("64:ff9b::127.0.0.1", "loopback"),
        ("64:ff9b::a9fe:a9fe", METADATA),
        ("2002:7f00:1::", "loopback"),
        ("2002:a00:1::1", "private"),
        ("2002:a9fe:a9fe:1:2:3:4:5", METADATA),
    ],
)
def test_an_address_that_is_not_public_is_known_by_its_kind(address: str, kind: str) -> None:
    assert private_kind(address) == kind


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "169.253.255.255",
        "192.0.1.0",
        "223.255.255.255",
        "2a00:1450:4001::200e",
        "2001:4860:4860::8888",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "2002:808:808::1",
    ],
)
def test_a_public_address_is_none_of_them(address: str) -> None:
    assert private_kind(address) is None


def test_what_this_python_calls_private_is_at_least_that() -> None:
    """Apart from public IPv4 addresses within IPv6, of which the versions of Python think differently."""
    luck = random.Random(7)
    found = 0
    for _ in range(20_000):
        bits = luck.getrandbits(128) >> luck.choice([0, 0, 8, 64, 96, 120])
        address = IPv4Address(bits & 0xFFFF_FFFF) if luck.random() < 0.5 else IPv6Address(bits)
        if luck.random() < 0.2 and isinstance(address, IPv6Address):
            address = IPv6Address(luck.choice([0xFE80, 0xFC00, 0xFF02, 0x2001, 0x0100]) << 112 | bits >> 16)
        kind = private_kind(str(address))
        special = not address.is_global or address.is_multicast or address.is_loopback or address.is_link_local
        if special and address not in embedding():
            found += 1
            assert kind is not None, address
    assert found > 2_000


class embedding:  # noqa: N801  reads as a set
    """The networks whose addresses have a public IPv4 address in them, perhaps."""

    def __contains__(self, address: object) -> bool:
        return isinstance(address, IPv6Address) and (
            address.ipv4_mapped is not None
            or address.sixtofour is not None
            or int(address) >> 32 == int(ip_address("64:ff9b::")) >> 32
        )


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("localhost", "loopback"),
        ("LOCALHOST.", "loopback"),
        ("a.localhost", "loopback"),
        ("127.0.0.1", "loopback"),
        ("127.1", "loopback"),
        ("0x7f.1", "loopback"),
        ("0x7f000001", "loopback"),
        ("2130706433", "loopback"),
        ("017700000001", "loopback"),
        ("0", "unspecified"),
        ("::1", "loopback"),
        ("::ffff:7f00:1", "loopback"),
        ("bot.example", None),
        ("localhost.example", None),
        ("8.8.8.8", None),
        ("127.0.0.1.example", None),
        ("", None),
        ("бот.example", None),
    ],
)
def test_a_host_that_needs_no_look_up_is_known_in_every_spelling(host: str, kind: str | None) -> None:
    assert private_host(host) == kind
