"""Document -> its `accounts`, and what a source asks of its account: `account`, `guard`, `heal`."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from relay.amocrm.vocabulary import HEALABLE, TRIGGERS
from relay.model import HEAL_OFF, Account, DpTrigger, Guard, Heal, HealMode, OAuthGrant, Reenable, Secret, is_loopback
from relay.routes.diagnostics import Unfit, Where, quoted, suggestion
from relay.routes.reader import Reader, one_of
from relay.routes.units import settling

_HOST = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?\.(amocrm\.ru|amocrm\.com|kommo\.com)")
_NOT_AN_ACCOUNT = frozenset({"www"})
_WITH_PORT = re.compile(r"(\[[0-9a-f:]+\]|[^:\[\]]+):([1-9][0-9]{0,4})")
_PRINTABLE = re.compile(r"[\x21-\x7e]{1,16384}")
_HOST_LIKE = "must be the account's own host like example.amocrm.ru, without https:// (or loopback with a port)"


def read_accounts(reader: Reader, folder: Path) -> dict[str, Account]:
    """The accounts by name, in file order; paths in them are relative to `folder`."""
    return {name: _account(reader, ("accounts", name), folder) for name in reader.keys(("accounts",))}


def _account(reader: Reader, where: Where, folder: Path) -> Account:
    credentials = [key for key in ("token", "oauth") if reader.document.has((*where, key))]
    if len(credentials) != 1 and not reader.problems.touch(where):
        both = "has both token and oauth: remove one of them"
        reader.wrong(where, both if credentials else "needs token, the integration's long-lived one, or oauth")
    return Account(
        name=str(where[-1]),
        host=reader.take((*where, "host"), _host, ""),
        token=reader.take((*where, "token"), _secret, None),
        oauth=_oauth(reader, (*where, "oauth")),
        names=reader.take((*where, "names"), lambda text: folder / text, None),
    )


def _host(text: str) -> str:
    host = text.lower().rstrip(".")
    if (address := _WITH_PORT.fullmatch(host)) and is_loopback(address[1].strip("[]")):
        return host
    if not _HOST.fullmatch(host) or host.partition(".")[0] in _NOT_AN_ACCOUNT:
        raise Unfit(_HOST_LIKE)
    return host


def _oauth(reader: Reader, where: Where) -> OAuthGrant | None:
    if not reader.document.has(where):
        return None
    return OAuthGrant(
        client_id=reader.take((*where, "client_id"), str, ""),
        client_secret=reader.take((*where, "client_secret"), _secret, Secret("")),
        redirect_uri=reader.take((*where, "redirect_uri"), str, ""),
    )


def _secret(text: str) -> Secret:
    if not _PRINTABLE.fullmatch(text):
        raise Unfit("must be what amoCRM shows, without blanks and line breaks")
    return Secret(text)


# ---- of a source


def read_account_name(reader: Reader, where: Where) -> str | None:
    """The account of the source at `where`."""
    known = reader.keys(("accounts",))
    if not known and reader.sound((*where, "account")) and not reader.document.has(("accounts",)):
        reader.wrong((*where, "account"), "names one of accounts, and the file has none: add accounts, or remove it")
    return reader.take((*where, "account"), one_of("account", known), None)


def read_guard(reader: Reader, where: Where) -> Guard | None:
    """The guard of the source at `where`, if it has one."""
    here = (*where, "guard")
    if not reader.document.has(here):
        return None
    _demand_account(reader, where, here)
    return Guard(
        reenable=reader.take((*here, "reenable"), _reenable, Reenable.FALSE),
        url=reader.take((*here, "url"), _public_url, ""),
    )


def read_heal(reader: Reader, where: Where) -> Heal:
    """The heal of the source at `where`: a word, or a mapping."""
    here = (*where, "heal")
    if not reader.document.has(here):
        return HEAL_OFF
    if not isinstance(reader.document.at(here), dict):
        heal = Heal(mode=reader.take(here, HealMode, HealMode.OFF))
    else:
        heal = _heal(reader, here)
    if heal.mode is not HealMode.OFF:
        _demand_account(reader, where, here)
    return heal


def _heal(reader: Reader, where: Where) -> Heal:
    actions = (*where, "actions")
    return Heal(
        mode=reader.take((*where, "mode"), HealMode, HealMode.OFF),
        actions=frozenset(reader.each(actions, _action)) if reader.document.has(actions) else None,
        most=reader.take((*where, "most"), int, HEAL_OFF.most),
        settle=reader.take((*where, "settle"), settling, None),
        proxied=not reader.document.has((*where, "proxy")),
        dp=tuple(_trigger(reader, place) for place in reader.places((*where, "dp"))),
    )


def _trigger(reader: Reader, where: Where) -> DpTrigger:
    query = (*where, "query")
    return DpTrigger(
        stage=reader.take((*where, "stage"), str, ""),
        on=reader.each((*where, "on"), one_of("trigger", sorted(TRIGGERS))),
        query={name: reader.take((*query, name), str, "") for name in reader.keys(query)},
    )


def _demand_account(reader: Reader, where: Where, here: Where) -> None:
    if not reader.document.has((*where, "account")) and not reader.problems.touch(here):
        reader.wrong(here, "needs the account of this source: write account, too")


def _reenable(value: bool | str) -> Reenable:
    return Reenable(str(value).lower())


def _action(text: str) -> str:
    if text not in HEALABLE:
        raise Unfit(f"amoCRM's API does not tell of {quoted(text)} {suggestion(text, sorted(HEALABLE))}")
    return text


def _public_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        sound = False
    if not sound or parts.username is not None or parts.query or parts.fragment:
        raise Unfit("must be the address that amoCRM reaches us at, like https://hooks.example.com, without a query")
    return text.rstrip("/")
