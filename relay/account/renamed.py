"""An account that its host does not have any more, or has by another name -> the host that it has now.

A token goes to no host but that of the routes file, so a person has to write the new one there.
"""

import re
from collections.abc import Mapping

from relay.account.client import AccountClient
from relay.account.limiter import Priority
from relay.errors import AccountError, RequestRefused
from relay.model import Json

NOT_FOUND = 404
PATH = "/oauth2/account/subdomain"
"""Says which host an account has now, also where it was before (amoCRM's PHP client, 2026)."""

_HOST = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?\.(amocrm\.ru|amocrm\.com|kommo\.com)")


def new_host(host: str, account: Mapping[str, Json] | None) -> str | None:
    """The host of an account that calls itself otherwise than `host` does; None if it does not."""
    subdomain, rest = (account or {}).get("subdomain"), host.partition(".")[2]
    found = f"{subdomain}.{rest}"
    return found if ":" not in host and found != host and _HOST.fullmatch(found) else None


async def host_after(client: AccountClient, error: AccountError) -> str | None:
    """Ask where the account is now, if `error` says that it is not there; None if nobody says."""
    if not isinstance(error, RequestRefused) or error.status != NOT_FOUND:
        return None
    try:
        found = await client.get(PATH, priority=Priority.TOKEN) or {}
    except AccountError:
        return None
    host = str(found.get("domain", ""))
    return host if _HOST.fullmatch(host) and host != client.account.host else None
