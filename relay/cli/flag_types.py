"""The text of a flag -> an address, a duration, a number; misuse is click.BadParameter, which says what is expected."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import click

from relay.routes import units
from relay.routes.diagnostics import Unfit


class Address(NamedTuple):
    """An address to listen on; port 0 is any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def address(text: str) -> Address:
    """`127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`."""
    host, _, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not bare or (":" in bare and bare == host) or not _is_port(port):
        raise click.BadParameter(f"{text!r} is not an address like 127.0.0.1:8080 or [::1]:8080")
    return Address(bare, int(port))


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) <= 65535


class Network(click.ParamType[IPv4Network | IPv6Network]):
    """`10.0.0.0/8`, `2001:db8::/32`, `192.0.2.7`; in a variable several, with commas or blanks between them."""

    name = "network"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> IPv4Network | IPv6Network:
        """Misuse if host bits are set: either the address or the mask is wrong."""
        try:
            return ip_network(value)
        except ValueError:
            meant = _network_around(value)
            advice = f": did you mean {meant}?" if meant else ", like 10.0.0.0/8 or 2001:db8::1"
            self.fail(f"{str(value)!r} is not a network{advice}", param, ctx)

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        """Split at commas and blanks."""
        return rv.replace(",", " ").split()


def _network_around(text: Any) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


class Whole(click.IntRange):
    """Whole numbers from `least` to `most`, `of` bytes or what they count."""

    def __init__(self, least: int, most: int | None = None, *, of: str = "a whole number") -> None:
        super().__init__(least, most)
        self.wanted = f"{of}, {least} or more" if most is None else f"{of}, {least} to {most}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """`click.IntRange` says "not a valid integer range"."""
        try:
            whole: int = super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{str(value)!r} must be {self.wanted}", param, ctx)
        return whole


class Words(click.ParamType[str]):
    """A text of at most `most` characters, for it is stored."""

    name = "text"

    def __init__(self, most: int) -> None:
        self.most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text unchanged."""
        text = str(value)
        if len(text) > self.most:
            self.fail(f"it has {len(text)} characters: write at most {self.most}", param, ctx)
        return text


def web_address(like: str) -> Callable[[str], str]:
    """A URL that can be posted to, as it is; anything else is misuse, and `like` is an example of what is not."""

    def checked(text: str) -> str:
        try:
            parts = urlsplit(text)
            good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            good = False
        if not good or not text.isascii() or not text.isprintable() or " " in text:
            raise click.BadParameter(f"not an address like {like}")
        return text

    return checked


def relay_url(text: str) -> str:
    """`https://relay.example/admin`, the URL of an admin listener, without a slash at the end."""
    parts = urlsplit(web_address("https://relay.example")(text))
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise click.BadParameter("not an address like https://relay.example: a token goes into RELAY_TOKEN")
    return text.rstrip("/")


def site(text: str) -> str:
    """`https://relay.example`: a URL without a path, as a browser shows it, and without a slash at the end."""
    parts = urlsplit(web_address("https://relay.example")(text))
    if "@" in parts.netloc or parts.query or parts.fragment or parts.path not in ("", "/"):
        raise click.BadParameter("not an address like https://relay.example: pages are not moved below a path")
    return text.rstrip("/")


def rate(text: str) -> float:
    """`50/s`, `300/m`, as in the routes file -> a second."""
    try:
        return units.rate(text)
    except Unfit as unfit:
        raise click.BadParameter(f"{text!r} {unfit}") from None


def written_duration(text: str) -> str:
    """The text of a duration, as it is."""
    duration(text)
    return text


def duration(text: str) -> timedelta:
    """`200ms`, `2s`, `5m`, as in the routes file."""
    try:
        return units.duration(text)
    except Unfit as unfit:
        raise click.BadParameter(f"{text!r} {unfit}") from None
