"""Our own public address -> None if a relay answers there, else why amoCRM would not reach it either."""

from collections.abc import Callable

from relay.account.session import Session
from relay.errors import AccountAway
from relay.model import Secret

AGENT = "relay-self-test"
"""No name of amoCRM's is in it: an empty body from amoCRM is a webhook that something on the way has stripped."""


async def self_test(destination: Secret, *, new_session: Callable[[str], Session] = Session) -> str | None:
    """Post an empty body, as a probe; a relay says so in its answer, whatever stands before it and answers 200, too."""
    url, slash, path = destination.reveal().partition("/hooks/")
    session = new_session(url)
    try:
        answer = await session.ask("POST", slash + path, headers={"User-Agent": AGENT})
    except AccountAway as error:
        return str(error)
    finally:
        await session.close()
    if answer.status == 200 and (answer.document() or {}).get("probe") is True:
        return None
    return f"it answered {answer.status}, and not as a relay does"
