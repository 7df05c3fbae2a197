"""CONNECT (RFC 9110 §9.3.6): the request for a tunnel to a target, and why a proxy opened none. Pure."""

from http import HTTPStatus

from yarl import URL

from relay.http.client import ProxyFailed


def authority(url: URL) -> str:
    """`bot.example:443`, `[2001:db8::1]:8080`: whom the proxy is asked to connect to."""
    return f"{url.host_subcomponent}:{url.port}"


def connect_request(to: str, authorization: str | None) -> bytes:
    """Write the head of the request; it has no body."""
    lines = [f"CONNECT {to} HTTP/1.1", f"Host: {to}"]
    if authorization:
        lines.append(f"Proxy-Authorization: {authorization}")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def refused(status: int, to: str, *, authorized: bool) -> ProxyFailed:
    """Say what a status other than 2xx means."""
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        wrong = "refuses the user or the password in its URL" if authorized else "asks for a user and a password"
        return ProxyFailed(f"the proxy {wrong} (407)")
    return ProxyFailed(f"the proxy opened no tunnel to {to}: it answered {status}{_phrase(status)}")


def unreachable(proxy: URL, error: BaseException) -> ProxyFailed:
    """Say why there is no connection to the proxy itself; `error` has nothing of its user and password."""
    return ProxyFailed(f"the proxy {authority(proxy)} cannot be reached: {error}")


def _phrase(status: int) -> str:
    """Our own words for it: those of the answer are anybody's."""
    try:
        return f" {HTTPStatus(status).phrase}"
    except ValueError:
        return ""
