"""Document -> its sources."""

import re

from relay.model import Secret, Source
from relay.routes.accounts import read_account_name, read_guard, read_heal
from relay.routes.diagnostics import Unfit
from relay.routes.reader import Reader
from relay.routes.units import window

_TOKEN = re.compile("[A-Za-z0-9._~-]{1,512}")


def read_sources(reader: Reader) -> dict[str, Source]:
    """The sources by name, in file order."""
    return {name: _source(reader, name) for name in reader.keys(("sources",))}


def _source(reader: Reader, name: str) -> Source:
    where = ("sources", name)
    return Source(
        name=name,
        tokens=reader.each((*where, "token"), _token),
        accounts=frozenset(reader.each((*where, "accounts"), str)),
        dedupe=reader.take((*where, "dedupe"), window, None),
        account=read_account_name(reader, where),
        guard=read_guard(reader, where),
        heal=read_heal(reader, where),
    )


def _token(text: str) -> Secret:
    if not _TOKEN.fullmatch(text):
        raise Unfit("must be at most 512 characters of A-Z a-z 0-9 . _ ~ - (make one with: openssl rand -hex 32)")
    return Secret(text)
