"""Data of a person -> the phones, mails and names in it; and a text -> which kinds of them it has."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple
from urllib.parse import unquote_plus

from relay.model import Event, Json
from relay.model.erasure import Ref

SHORTEST_NAME = 4  # characters: what is shorter is in many texts
DIGITS = 10  # of a phone: the last ones, whatever stands before them

_NAMES = ("name", "first_name", "last_name", "company_name")
_NAMED = frozenset({"contacts", "companies", "customers"})  # a lead's name may be anything
_CODES = frozenset({"PHONE", "EMAIL"})
_MAIL = re.compile(r"[^\s@<>\"',;:]{1,64}@[^\s@<>\"',;:]{1,255}")  # bounded: a text may be long
_PHONE = re.compile(r"\+?[\d\s().-]{10,24}")
_BETWEEN = re.compile(r"[\s().+-]")
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")


class Trace(NamedTuple):
    """A phone by its last digits, a mail or a name in lower case. `kind`: phone, mail or name."""

    kind: str
    text: str


def traces_of(event: Event, refs: Collection[Ref]) -> frozenset[Trace]:
    """Return what an event tells of the persons that it is about; of an incoming message, its author's name too."""
    about = any(event.entity == ref.entity and event.entity_id == ref.id for ref in refs)
    found = set(_contacts_in(event.data)) if about or event.entity == "unsorted" else set()
    if about and event.entity in _NAMED and event.action != "note":
        found |= set(_names_in(event.data))
    author = event.data.get("author")
    if event.data.get("type") == "incoming" and isinstance(author, Mapping):
        found |= set(_names_in(author))
    return frozenset(found)


def traces_of_card(card: Mapping[str, Json]) -> frozenset[Trace]:
    """Return what a card of the API tells of the person."""
    return frozenset({*_contacts_in(card), *_names_in(card)})


class Finder:
    """Tells which kinds of traces a text has, however it is written: spaced, quoted, escaped."""

    def __init__(self, traces: Collection[Trace]) -> None:
        self._phones = [each.text for each in traces if each.kind == "phone"]
        self._words = [each for each in traces if each.kind != "phone"]

    def kinds(self, text: str) -> frozenset[str]:
        """`phone`, `mail`, `name`: those that are in the text."""
        plain = _plain(text)
        spaced = _normal(plain)
        found = {each.kind for each in self._words if each.text in spaced}
        if self._phones:
            digits = _BETWEEN.sub("", plain)
            if any(each in digits for each in self._phones):
                found.add("phone")
        return frozenset(found)


def _plain(text: str) -> str:
    if "\\u" in text:
        text = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
    return unquote_plus(text) if "%" in text else text


def _normal(text: str) -> str:
    return " ".join(text.casefold().split())


def _names_in(data: Mapping[str, Json]) -> Iterator[Trace]:
    for name in _NAMES:
        text = data.get(name)
        if isinstance(text, str) and len(_normal(text)) >= SHORTEST_NAME:
            yield Trace("name", _normal(text))


def _contacts_in(node: Json, key: str = "") -> Iterator[Trace]:
    """Yield phones and mails of all fields that hold one and nothing else, or are called so."""
    match node:
        case Mapping():
            code = str(node.get("code", node.get("field_code", "")))
            for name, child in node.items():
                yield from _contacts_in(child, code if code in _CODES else name)
        case list():
            for child in node:
                yield from _contacts_in(child, key)
        case str():
            yield from _contacts_of(node, key)


def _contacts_of(text: str, key: str) -> Iterator[Trace]:
    if "@" in text:
        yield from (Trace("mail", found.casefold()) for found in _MAIL.findall(text) if "." in found.partition("@")[2])
    digits = "".join(filter(str.isdecimal, text))
    if DIGITS <= len(digits) <= 15 and (key == "PHONE" or "phone" in key or _PHONE.fullmatch(text.strip())):
        yield Trace("phone", digits[-DIGITS:])
