"""An IP address -> what it is if no public service has it: `loopback`, `private`, `link-local`, …; else None.

The table is IANA's registries of special purpose addresses (2025), written out: `is_private` and `is_global` of
`ipaddress` say other things in 3.11.7, 3.11.10, 3.12.4 and 3.13 (192.0.0.0/24, 2001::/23, 2002::/16, mapped addresses),
and neither knows a cloud's metadata service. Of IPv6 only 2000::/3 is global unicast; all else counts as reserved.

Not covered, since nothing in an address tells: public addresses that belong to this machine or its own network, NAT64
prefixes that a network has chosen for itself (RFC 6052), and ISATAP (RFC 5214) in a public prefix.
"""

import socket
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

METADATA = "a cloud's metadata service"

_METADATA = frozenset(
    ip_address(each)
    for each in (
        "169.254.169.254",  # AWS, Google Cloud, Azure, DigitalOcean, Yandex Cloud, …
        "169.254.170.2",  # AWS ECS: credentials of a task
        "fd00:ec2::254",  # AWS
        "fd20:ce::254",  # Google Cloud
        "100.100.100.200",  # Alibaba Cloud
        "192.0.0.192",  # Oracle Cloud
        "168.63.129.16",  # Azure's host: a public address that never leaves it
    )
)
_V4: Mapping[IPv4Network, str] = {
    IPv4Network("0.0.0.0/8"): "unspecified",
    IPv4Network("127.0.0.0/8"): "loopback",
    IPv4Network("10.0.0.0/8"): "private",
    IPv4Network("172.16.0.0/12"): "private",
    IPv4Network("192.168.0.0/16"): "private",
    IPv4Network("169.254.0.0/16"): "link-local",
    IPv4Network("100.64.0.0/10"): "shared by a carrier's customers",
    IPv4Network("192.0.0.0/24"): "reserved",
    IPv4Network("192.0.2.0/24"): "for documentation",
    IPv4Network("198.51.100.0/24"): "for documentation",
    IPv4Network("203.0.113.0/24"): "for documentation",
    IPv4Network("192.88.99.0/24"): "reserved",
    IPv4Network("198.18.0.0/15"): "for benchmarks",
    IPv4Network("224.0.0.0/4"): "multicast",
    IPv4Network("240.0.0.0/4"): "reserved",
}
_V6: Mapping[IPv6Network, str] = {
    IPv6Network("::/128"): "unspecified",
    IPv6Network("::1/128"): "loopback",
    IPv6Network("fc00::/7"): "unique local",
    IPv6Network("fe80::/10"): "link-local",
    IPv6Network("fec0::/10"): "private",
    IPv6Network("ff00::/8"): "multicast",
    IPv6Network("2001::/23"): "reserved",  # Teredo, ORCHID, …
    IPv6Network("2001:db8::/32"): "for documentation",
    IPv6Network("3fff::/20"): "for documentation",
}
_GLOBAL = IPv6Network("2000::/3")
_WITH_IPV4: Mapping[IPv6Network, int] = {
    IPv6Network("::ffff:0:0/96"): 0,  # mapped: what a socket for both families connects to
    IPv6Network("64:ff9b::/96"): 0,  # NAT64
    IPv6Network("2002::/16"): 80,  # 6to4
}
"""Network -> how many bits follow the IPv4 address in an address of it."""


def private_kind(address: str) -> str | None:
    """Return what kind of address this is; None for a public one. ValueError if it is no address."""
    return _kind(ip_address(address))


def private_host(host: str) -> str | None:
    """Like `private_kind`, of a host name that needs no look-up; None for every other one."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761
        return "loopback"
    address = _as_address(name)
    return _kind(address) if address else None


def _as_address(host: str) -> IPv4Address | IPv6Address | None:
    """Read an address in any spelling that a resolver takes for one: `127.1`, `0x7f000001`, `2130706433`."""
    try:
        return ip_address(host)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def _kind(address: IPv4Address | IPv6Address) -> str | None:
    if address in _METADATA:
        return METADATA
    if isinstance(address, IPv4Address):
        return next((kind for network, kind in _V4.items() if address in network), None)
    for network, follow in _WITH_IPV4.items():
        if address in network:
            return _kind(IPv4Address(int(address) >> follow & 0xFFFF_FFFF))
    kind = next((kind for network, kind in _V6.items() if address in network), None)
    return kind or (None if address in _GLOBAL else "reserved")
