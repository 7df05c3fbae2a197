"""Host name or address -> whether it is loopback."""

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """True for `localhost` and loopback addresses, which no other machine can reach."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
