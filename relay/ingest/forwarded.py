"""Who a request is from: its connection's address or, if that is a trusted proxy's, what the proxy says.

X-Forwarded-For, and Forwarded of RFC 7239: the right-most hop that is not itself trusted, for each proxy appends the
address it was asked from, and whatever stands to the left may be a stranger's invention.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Protocol, TypeAlias

Network: TypeAlias = IPv4Network | IPv6Network
Address: TypeAlias = IPv4Address | IPv6Address

MOST_HOPS = 32

_FOR = re.compile(r'(?:^|;)\s*for\s*=\s*("[^"]*"|[^;]*)', re.IGNORECASE)


class Headers(Protocol):
    """Of a request."""

    def getall(self, key: str, default: Sequence[str], /) -> Sequence[str]:
        """The lines of one header, as they came."""
        ...


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """The networks whose word is taken for where a request comes from."""

    networks: tuple[Network, ...] = ()

    def client(self, peer: str | None, headers: Headers | None = None) -> str:
        """The address to name; the peer's own if it is not trusted, says nothing, or contradicts itself."""
        near = _address(peer or "")
        if near is None:
            return peer or ""
        if headers is None or not self._trusts(near):
            return str(near)
        said = {self._client(near, hops) for hops in (_x_forwarded_for(headers), _forwarded(headers)) if hops}
        return str(said.pop() if len(said) == 1 else near)

    def _client(self, near: Address, hops: Sequence[str]) -> Address:
        for hop in reversed(hops[-MOST_HOPS:]):
            further = _address(hop)
            if further is None:  # "unknown", or a name that hides it: nearer than that is all we know
                return near
            near = further
            if not self._trusts(near):
                return near
        return near

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self.networks)


NOBODY = TrustedProxies()


def _x_forwarded_for(headers: Headers) -> list[str]:
    return _listed(headers.getall("X-Forwarded-For", ()))


def _forwarded(headers: Headers) -> list[str]:
    """Each hop's `for`; empty for one that does not say."""
    found = [_FOR.search(hop) for hop in _listed(headers.getall("Forwarded", ()))]
    return [hop[1].strip().strip('"') if hop else "" for hop in found]


def _listed(lines: Iterable[str]) -> list[str]:
    return [hop.strip() for line in lines for hop in line.split(",") if hop.strip()]


def _address(text: str) -> Address | None:
    """`192.0.2.1`, `192.0.2.1:8080`, `2001:db8::1`, `[2001:db8::1]:8080`; one of IPv4 is never written as IPv6."""
    bare = text[1:].partition("]")[0] if text.startswith("[") else text
    if bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        address = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
