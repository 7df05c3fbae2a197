"""A host -> connections to its public addresses alone, whatever its name is said to mean at that moment.

The look-up drops every other address. The socket refuses what did not come from a look-up: an address in the URL. No
second look-up lies between them and the connection.
"""

import socket
from typing import cast

import aiohttp
from aiohttp.abc import ResolveResult

from relay.http.client import AddressDenied
from relay.http.resolver import Resolver
from relay.private_addresses import private_kind

MOST_SHOWN = 5  # addresses of one name in a message


class PublicResolver(Resolver):
    """Look names up, and leave out the addresses that are not public."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the public addresses of a host; AddressDenied if it has others alone, else OSError if it has none."""
        found = await super().resolve(host, port, family)
        if public := [each for each in found if private_kind(each["host"]) is None]:
            return public
        raise AddressDenied(f"{host} is {_listed([each['host'] for each in found])}: deny_private refuses it")


def public_socket(info: aiohttp.AddrInfoType) -> socket.socket:
    """Make the socket for a connection to this address; AddressDenied if it is not public."""
    family, kind, protocol, _, to = info
    address = cast(str, to[0])
    if private_kind(address):
        raise AddressDenied(f"{_listed([address])}: deny_private refuses it")
    return socket.socket(family, kind, protocol)


def _listed(addresses: list[str]) -> str:
    """`127.0.0.1 (loopback), 10.0.0.7 (private)`, each once."""
    each = [f"{address} ({private_kind(address)})" for address in dict.fromkeys(addresses)]
    return ", ".join(each[:MOST_SHOWN]) + (", …" if len(each) > MOST_SHOWN else "")
