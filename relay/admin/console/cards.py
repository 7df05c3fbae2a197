"""An entity -> the address of its card in amoCRM; None for what has none."""

import re
from collections.abc import Mapping
from typing import Any

WITH_CARD = frozenset({"companies", "contacts", "customers", "leads"})
_HOST = re.compile(r"[a-z0-9][a-z0-9-]*\.(amocrm\.(ru|com)|kommo\.com)")
_SUBDOMAIN = re.compile(r"[a-z0-9][a-z0-9-]*")


def card(entity: str, id_: str, *, account: Any = None, host: str = "") -> str | None:
    """By the `host` that the webhook named, if that is amoCRM's, else by the subdomain of the event's account."""
    if entity not in WITH_CARD or not (id_.isascii() and id_.isdigit()):
        return None
    subdomain = account.get("subdomain") if isinstance(account, Mapping) else None
    if not _HOST.fullmatch(host):
        if not isinstance(subdomain, str) or not _SUBDOMAIN.fullmatch(subdomain):
            return None
        host = f"{subdomain}.amocrm.ru"
    return f"https://{host}/{entity}/detail/{id_}"


def host_of(account: Any, configured: str, named: str) -> str:
    """The host that the routes have for the source, unless the event is of another account; else the one it `named`."""
    subdomain = account.get("subdomain") if isinstance(account, Mapping) else None
    other = isinstance(subdomain, str) and subdomain != configured.partition(".")[0]
    return named if other or not configured else configured
