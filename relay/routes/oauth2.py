"""Document -> the `oauth2` of a target."""

import re
from collections.abc import Callable, Iterable

from relay.model import ClientAuth, Egress, OAuth2, Secret
from relay.routes.diagnostics import Unfit, Where
from relay.routes.egress import refuse_private_host
from relay.routes.reader import Reader

_WITH_USER = re.compile(r"[^/?#]*//[^/?#]*@")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*")


def read_oauth2(
    reader: Reader, where: Where, *, headers: Iterable[str], url: Callable[[str], str], egress: Egress
) -> OAuth2 | None:
    """The `oauth2` of the target at `where`, if it has one.

    `headers` and `egress` are the target's own, `url` checks a URL.
    """
    here = (*where, "oauth2")
    if not reader.document.has(here):
        return None
    if any(name.lower() == "authorization" for name in headers):
        reader.wrong(here, "sets the header Authorization: remove that from headers, or oauth2")

    def token_url(text: str) -> str:
        if _WITH_USER.match(text):
            raise Unfit("a URL with a user or password: put them in client_id and client_secret")
        return url(text)

    nothing = Secret("")
    address = reader.take((*here, "token_url"), token_url, "")
    refuse_private_host(reader, (*here, "token_url"), address, egress)
    return OAuth2(
        token_url=address,
        client_id=reader.take((*here, "client_id"), _text, nothing),
        client_secret=reader.take((*here, "client_secret"), _text, nothing),
        scope=reader.take((*here, "scope"), _scope, ""),
        auth=reader.take((*here, "auth"), ClientAuth, ClientAuth.BASIC),
    )


def _text(value: str | int) -> Secret:
    return Secret(str(value))


def _scope(text: str) -> str:
    if not _SCOPE.fullmatch(text):
        raise Unfit("must be words with one blank between them, like hooks or read write")
    return text
