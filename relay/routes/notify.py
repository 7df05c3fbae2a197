"""Document -> who is notified of what: the receivers of `notify`, in file order."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import time, timedelta

from relay.model import Egress, Secret
from relay.model.notify import Encryption, HttpReceiver, Kind, Language, Mail, Notify, Quiet, Receiver, Slack, Telegram
from relay.routes.diagnostics import Unfit, Where, quoted, suggestion
from relay.routes.egress import read_egress, refuse_private_host
from relay.routes.reader import Reader
from relay.routes.target_templates import compiled_body, is_template
from relay.routes.target_tls import read_tls
from relay.routes.targets import header_value, http_url, refused_header
from relay.routes.template import NOTIFICATION_NAMES
from relay.routes.units import duration

SUBMISSION, SUBMISSIONS = 587, 465  # ports (RFC 6409, RFC 8314)

_TOKEN = re.compile(r"[0-9]+:[A-Za-z0-9_-]{10,}|absent")
_ADDRESS = re.compile(r"[^\s@<>,;:\"]+@[^\s@<>,;:\"]+")
_CHAT_ID = re.compile("-?[0-9]{1,19}")
_SMTP = re.compile(r"(?P<host>[\w.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[1-9][0-9]{0,4}))?")


def read_notify(reader: Reader, defaults: Egress) -> tuple[Notify, ...]:
    """The receivers; `defaults` says how connections leave this machine unless one says otherwise."""
    named: Counter[str] = Counter()
    found = []
    for where in reader.places(("notify",)):
        word = next(iter(reader.keys((*where, "to"))), "")
        named[word] += 1
        name = word if named[word] == 1 else f"{word}-{named[word]}"
        found.append(_notify(reader, where, word, name, defaults))
    return tuple(each for each in found if each)


def _notify(reader: Reader, where: Where, word: str, name: str, defaults: Egress) -> Notify | None:
    read = _RECEIVERS.get(word)
    if read is None:  # the schema has said so
        return None
    egress = read_egress(reader, where, defaults)
    receiver = read(reader, (*where, "to", word), egress)
    if isinstance(receiver, Mail) and reader.document.has((*where, "proxy")) and egress.proxy:
        reader.wrong((*where, "proxy"), "is for HTTP: mail goes to its server directly")
    url = _url_of(receiver)
    kinds = frozenset(reader.each((*where, "on"), Kind)) if reader.document.has((*where, "on")) else frozenset(Kind)
    return Notify(
        name=name,
        to=receiver,
        installation=reader.take((*where, "name"), _installation, None),
        kinds=kinds,
        silence=_silence(reader, (*where, "silence")),
        quiet=_quiet(reader, (*where, "quiet")),
        language=reader.take((*where, "language"), Language, Language.EN),
        egress=egress,
        tls=read_tls(reader, where, url),
    )


def _url_of(receiver: Receiver) -> str:
    match receiver:
        case Telegram():
            return receiver.api
        case Slack() | HttpReceiver():
            return receiver.url.reveal()
    return ""


def _installation(text: str) -> str:
    if text != text.strip() or not text.isprintable():
        raise Unfit("must be one line, without spaces around it")
    return text


# ---- receivers


def _telegram(reader: Reader, where: Where, egress: Egress) -> Telegram:
    nowhere: int | str = 0
    api = reader.take((*where, "api"), http_url, Telegram(token=Secret(""), chat_id=0).api)
    refuse_private_host(reader, (*where, "api"), api, egress)
    return Telegram(
        token=reader.take((*where, "token"), _token, Secret("")),
        chat_id=reader.take((*where, "chat_id"), _chat, nowhere),
        thread=reader.take((*where, "thread"), int, None),
        api=api.rstrip("/"),
    )


def _token(text: str) -> Secret:
    if not _TOKEN.fullmatch(text):
        raise Unfit("must be the bot's token as @BotFather gives it, like 123456:AAH…")
    return Secret(text)


def _chat(value: int | str) -> int | str:
    text = str(value)
    return int(text) if _CHAT_ID.fullmatch(text) else text


def _mail(reader: Reader, where: Where, egress: Egress) -> Mail:
    host, port = reader.take((*where, "smtp"), _smtp, ("", SUBMISSION))
    refuse_private_host(reader, (*where, "smtp"), f"smtp://{host}", egress)
    here = [key for key in ("user", "password") if reader.document.has((*where, key))]
    if len(here) == 1 and not reader.problems.touch(where):
        reader.wrong((*where, here[0]), "user and password go together")
    encryption = Encryption.IMPLICIT if port == SUBMISSIONS else Encryption.STARTTLS
    return Mail(
        host=host,
        port=port,
        sender=reader.take((*where, "from"), _address, ""),
        to=reader.each((*where, "to"), _address),
        user=reader.take((*where, "user"), str, None),
        password=reader.take((*where, "password"), Secret, None),
        encryption=reader.take((*where, "encryption"), Encryption, encryption),
    )


def _smtp(text: str) -> tuple[str, int]:
    parts = _SMTP.fullmatch(text)
    if not parts or int(parts["port"] or 1) > 65_535:
        raise Unfit("must be a host, maybe with a port, and nothing before it: smtp.example.com:587")
    return parts["host"].strip("[]"), int(parts["port"] or SUBMISSION)


def _address(text: str) -> str:
    if not _ADDRESS.fullmatch(text) or not text.isascii():
        raise Unfit("must be one address like oncall@example.com, without a name")
    return text


def _slack(reader: Reader, where: Where, egress: Egress) -> Slack:
    return Slack(url=_url(reader, where, egress))


def _webhook(reader: Reader, where: Where, egress: Egress) -> HttpReceiver:
    here = (*where, "body")
    body = compiled_body(reader, here, NOTIFICATION_NAMES) if reader.document.has(here) else None
    return HttpReceiver(url=_url(reader, where, egress), headers=_headers(reader, (*where, "headers")), body=body)


def _url(reader: Reader, where: Where, egress: Egress) -> Secret:
    here = (*where, "url")
    if is_template(reader, here):
        reader.wrong(here, "has no template: only body may have one")
    url = reader.take(here, http_url, "")
    refuse_private_host(reader, here, url, egress)
    return Secret(url)


def _headers(reader: Reader, where: Where) -> Mapping[str, Secret]:
    headers: dict[str, Secret] = {}
    seen: dict[str, str] = {}
    for name in reader.keys(where):
        here = (*where, name)
        reason = refused_header(name.lower(), seen)
        if reason or is_template(reader, here):
            reader.wrong(here, reason or "has no template: only body may have one")
        seen[name.lower()] = name
        headers[name.lower()] = reader.take(here, header_value, Secret(""))
    return headers


_RECEIVERS: Mapping[str, Callable[[Reader, Where, Egress], Receiver]] = {
    "telegram": _telegram,
    "mail": _mail,
    "slack": _slack,
    "webhook": _webhook,
}


# ---- what, and when not


def _silence(reader: Reader, where: Where) -> Mapping[str, timedelta]:
    known = reader.keys(("sources",))
    found = {}
    for source in reader.keys(where):
        here = (*where, source)
        if known and source not in known:
            reader.wrong(here, f"no source {quoted(source)} {suggestion(source, known)}")
        if span := reader.take(here, duration, None):
            found[source] = span
    return found


def _quiet(reader: Reader, where: Where) -> Quiet | None:
    if not reader.document.has(where):
        return None
    begins, ends = (reader.take((*where, key), time.fromisoformat, None) for key in ("from", "to"))
    if begins is None or ends is None:
        return None
    if begins == ends:
        reader.wrong((*where, "to"), "is the time it begins: it would never be quiet")
    return Quiet(begins=begins, ends=ends, exempt=frozenset(reader.each((*where, "except"), Kind)))
