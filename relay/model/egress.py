"""How connections to a target leave this machine: directly, through a proxy, or to public addresses alone."""

import base64
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address

from yarl import URL

from relay.model.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """An HTTP proxy. `url` is without user and password; `credentials` are these two, with a colon between them."""

    url: str
    credentials: Secret | None = None

    @property
    def authorization(self) -> Secret | None:
        """The value of `Proxy-Authorization` (RFC 7617); None for a proxy that knows no users."""
        if self.credentials is None:
            return None
        return Secret(f"Basic {base64.b64encode(self.credentials.reveal().encode()).decode()}")

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What must not be shown of it."""
        if self.credentials is None or self.authorization is None:
            return ()
        return self.authorization, self.credentials, Secret(self.credentials.reveal().partition(":")[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemption:
    """Hosts that are reached without the proxy, at `port` or at any.

    One of: `network`, of hosts that are written as addresses; `name`, in its IDNA form, and the names below it; both
    empty: every host. `below_only`: without `name` itself.
    """

    network: IPv4Network | IPv6Network | None = None
    name: str = ""
    below_only: bool = False
    port: int | None = None

    def covers(self, host: str, port: int | None) -> bool:
        """True if this host, in its IDNA form and without a dot at its end, is reached without the proxy."""
        if self.port is not None and self.port != port:
            return False
        if self.network:
            return _within(host, self.network)
        if not self.name:
            return True
        return host.endswith(f".{self.name}") or (host == self.name and not self.below_only)


@dataclass(frozen=True, slots=True, kw_only=True)
class Egress:
    """Settings that hold for each connection on behalf of a target, whatever its URL.

    `deny_private`: no connection is opened to an address that is not public. It excludes `proxy`: a proxy would
    resolve the name itself, and could be sent anywhere.
    """

    proxy: Proxy | None = None
    no_proxy: tuple[Exemption, ...] = ()
    deny_private: bool = False

    def proxy_to(self, url: str) -> Proxy | None:
        """Return the proxy that requests to this URL go through; None if there is none. The host decides, and the port.

        A URL that cannot be parsed has no exemption.
        """
        if self.proxy is None or not self.no_proxy:
            return self.proxy
        try:
            parsed = URL(url)
        except (ValueError, IndexError):  # IndexError: yarl's, of `http://@]`
            return self.proxy
        host = (parsed.raw_host or "").rstrip(".")  # in its IDNA form
        return None if any(each.covers(host, parsed.port) for each in self.no_proxy) else self.proxy


DIRECT = Egress()
"""No proxy, no guard."""


def _within(host: str, network: IPv4Network | IPv6Network) -> bool:
    try:
        return ip_address(host) in network
    except ValueError:
        return False
