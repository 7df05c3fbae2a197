"""Peer address and proxy headers -> the client's address.

The headers (X-Forwarded-For, and Forwarded of RFC 7239) count only if the peer is a trusted proxy. The client is the
right-most hop that is not trusted: each proxy appends the address of its own peer, and a client can forge what stands
to the left of that.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Protocol, TypeAlias

Network: TypeAlias = IPv4Network | IPv6Network
IpAddress: TypeAlias = IPv4Address | IPv6Address

MOST_HOPS = 32

_FOR = re.compile(r'(?:^|;)\s*for\s*=\s*("[^"]*"|[^;]*)', re.IGNORECASE)


class Headers(Protocol):
    """The headers of a request."""

    def getall(self, key: str, default: Sequence[str], /) -> Sequence[str]:
        """Return the lines of one header, unparsed."""
        ...


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """The networks whose forwarding headers are believed."""

    networks: tuple[Network, ...] = ()

    def client(self, peer: str | None, headers: Headers | None = None) -> str:
        """Return the client's address; the peer's if it is not trusted, or its two headers are missing or disagree."""
        near = _address(peer or "")
        if near is None:
            return peer or ""
        if headers is None or not self._trusts(near):
            return str(near)
        clients = {self._client(near, hops) for hops in (_x_forwarded_for(headers), _forwarded(headers)) if hops}
        return str(clients.pop() if len(clients) == 1 else near)

    def _client(self, near: IpAddress, hops: Sequence[str]) -> IpAddress:
        for hop in reversed(hops[-MOST_HOPS:]):
            further = _address(hop)
            if further is None:  # "unknown" or an obfuscated name (RFC 7239 §6.3): the last known hop counts
                return near
            near = further
            if not self._trusts(near):
                return near
        return near

    def _trusts(self, address: IpAddress) -> bool:
        return any(address in network for network in self.networks)


NO_PROXIES = TrustedProxies()


def _x_forwarded_for(headers: Headers) -> list[str]:
    return _listed(headers.getall("X-Forwarded-For", ()))


def _forwarded(headers: Headers) -> list[str]:
    """Return each hop's `for` parameter; empty for a hop without one."""
    found = [_FOR.search(hop) for hop in _listed(headers.getall("Forwarded", ()))]
    return [hop[1].strip().strip('"') if hop else "" for hop in found]


def _listed(lines: Iterable[str]) -> list[str]:
    return [hop.strip() for line in lines for hop in line.split(",") if hop.strip()]


def _address(text: str) -> IpAddress | None:
    """`192.0.2.1`, `192.0.2.1:8080`, `2001:db8::1`, `[2001:db8::1]:8080`; an IPv4-mapped IPv6 address becomes IPv4."""
    bare = text[1:].partition("]")[0] if text.startswith("[") else text
    if bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        address = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
