"""Document -> how a target's connections leave this machine: `proxy`, `no_proxy`, `deny_private`."""

import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_address, ip_network
from itertools import chain
from urllib.parse import urlsplit

from yarl import URL

from relay.model import Egress, Exemption, Proxy, Secret, Target
from relay.private_addresses import private_host
from relay.routes.diagnostics import Unfit, Where
from relay.routes.reader import Reader

NO_PROXY = "none"
"""The value of `proxy` for a target that does without the proxy of `defaults`."""

_VARIABLES = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"})
_NOT_IN_URL = re.compile(r"[\s\x00-\x20\x7f\\]")
_NOT_IN_CREDENTIALS = re.compile(r"[\x00-\x1f\x7f]")  # RFC 7617 §2
_USER = re.compile("//.*@")
_NAME = re.compile(r"[\w-]+(\.[\w-]+)*")
_LIKE = "must be a URL like http://proxy.example:3128, or none"
_EXEMPTIONS = "must be bot.example (with all below it), .example (those alone), an address, 10.0.0.0/8, or *"


def read_egress(reader: Reader, where: Where, base: Egress) -> Egress:
    """`base` with the settings of the mapping at `where`, which is `defaults` or a target."""
    exempt = (*where, "no_proxy")
    egress = Egress(
        proxy=reader.take((*where, "proxy"), _proxy, base.proxy),
        no_proxy=tuple(chain(*reader.each(exempt, _exemptions))) if reader.document.has(exempt) else base.no_proxy,
        deny_private=reader.take((*where, "deny_private"), bool, base.deny_private),
    )
    here = [key for key in ("deny_private", "proxy") if reader.document.has((*where, key))]
    if egress.proxy and egress.deny_private and here:  # else it was said where both are written
        reader.wrong(
            (*where, here[0]),
            "deny_private cannot hold through a proxy, which looks names up itself: write proxy: none, "
            "or deny_private: false",
        )
    return egress


def refuse_private_host(reader: Reader, where: Where, url: str, egress: Egress) -> None:
    """Reject a URL, at `where`, whose host is no public one by its spelling; any other is looked up to be connected."""
    if egress.deny_private and (kind := private_host(urlsplit(url).hostname or "")):
        reader.wrong(where, f"deny_private refuses this host: {kind}")


def ignored_variables(targets: Iterable[Target], env: Mapping[str, str]) -> str | None:
    """Say that variables name a proxy, where no target has one."""
    found = sorted(name for name in env if name.upper() in _VARIABLES and env[name])
    if not found or any(target.egress.proxy for target in targets):
        return None
    return (
        f"{' and '.join(found)} {'is' if len(found) == 1 else 'are'} not used: "
        "targets go through the proxy that the routes file names (defaults: {proxy: …}), and it names none"
    )


# ---- proxy


def hide_user(written: str) -> str:
    """`http://relay:${PW}@proxy.example` -> `http://***@proxy.example`."""
    return _USER.sub("//***@", written)


def _proxy(text: str) -> Proxy | None:
    if text == NO_PROXY:
        return None
    if _NOT_IN_URL.search(text):
        raise Unfit(
            "a proxy's URL has no blanks, control characters or backslashes: a blank in a password is written %20"
        )
    try:
        url = URL(text)
    except (ValueError, IndexError):  # IndexError: yarl's, of `http://@]`
        raise Unfit(_LIKE) from None
    if url.scheme not in ("http", "https") or not url.raw_host or url.explicit_port == 0:
        raise Unfit(_LIKE)
    if url.raw_path not in ("", "/") or "?" in text or "#" in text:
        raise Unfit("a proxy's URL ends with its port: write / ? # in a password as %2F %3F %23")
    return Proxy(url=str(url.origin()), credentials=_credentials(url))


def _credentials(url: URL) -> Secret | None:
    if url.raw_user is None:
        return None
    user, password = url.user or "", url.password or ""
    if ":" in user or _NOT_IN_CREDENTIALS.search(user + password):
        raise Unfit("a proxy's user has no colon, and neither it nor the password control characters")
    return Secret(f"{user}:{password}")


# ---- no_proxy, by the rules of Go's golang.org/x/net/http/httpproxy, except that nothing is exempt by itself


def _exemptions(text: str) -> tuple[Exemption, ...]:
    """A list may be one text, as the variable NO_PROXY is."""
    return tuple(_exemption(part.strip()) for part in text.split(",") if part.strip())


def _exemption(text: str) -> Exemption:
    if text == "*":
        return Exemption()
    try:
        if "/" in text:
            return Exemption(network=ip_network(text, strict=False))
        host, port = _host_and_port(text)
        if address := _address(host):
            return Exemption(network=ip_network(address), port=port)
        below = host.removeprefix("*")
        return Exemption(name=_ascii(below.strip(".")), below_only=below.startswith("."), port=port)
    except ValueError:
        raise Unfit(_EXEMPTIONS) from None


def _ascii(name: str) -> str:
    """Return a host name in its IDNA form; ValueError if it is none."""
    if not _NAME.fullmatch(name):
        raise ValueError(name)
    return URL.build(scheme="http", host=name).raw_host or ""


def _host_and_port(text: str) -> tuple[str, int | None]:
    """`bot.example:443`, `[::1]:443`, `::1`; ValueError for a port that is none."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    else:
        host, _, port = text.partition(":") if text.count(":") == 1 else (text, "", "")
    if port and not 0 < int(port) < 65_536:
        raise ValueError
    return host, int(port) if port else None


def _address(host: str) -> str | None:
    try:
        return str(ip_address(host))
    except ValueError:
        return None
